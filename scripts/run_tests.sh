#!/usr/bin/env bash
# Runs the tests in two passes and adds them up: several processes for the tests that share nothing, then one process
# for those marked integration, whose nodes need the cores for themselves.
#
#   scripts/run_tests.sh MARKER_EXPRESSION JOBS [pytest arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
expression=$1 jobs=$2
shift 2
bin=${BIN:-.venv/bin}
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

pass() {  # name, marker expression, pytest arguments...; no test left after selection is not a failure of a pass
    local name=$1 expression=$2 status=0
    shift 2
    "$bin/python" -m pytest -m "$expression" --junitxml="$reports/$name.xml" "$@" || status=$?
    [ "$status" = 5 ] || [ "$status" = 0 ] || failed=1
    return 0
}

failed=0
pass parallel "($expression) and not integration" -n "$jobs" --dist worksteal "$@"
pass serial "($expression) and integration" -p no:xdist "$@"

"$bin/python" - "$reports" "$failed" <<'PY'
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
for report in Path(sys.argv[1]).glob("*.xml"):
    for suite in ET.parse(report).getroot().iter("testsuite"):
        for key in totals:
            totals[key] += int(suite.get(key, 0))
bad = totals["failures"] + totals["errors"]
good = totals["tests"] - bad - totals["skipped"]
print(f"{good} passed, {bad} failed, {totals['skipped']} skipped")
sys.exit(int(sys.argv[2] != "0" or bad > 0 or good == 0))
PY
