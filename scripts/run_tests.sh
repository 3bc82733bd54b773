#!/usr/bin/env bash
# Runs the tests in two passes and adds them up: several processes for the tests that share nothing, then one process
# for those marked integration, whose nodes need the cores for themselves. Their deadlines follow what the machine can do
# beside its other load (test/machine.py). Should one fail nevertheless, it is run once more; its failure is printed, and
# a second one counts.
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
in_parallel=(-n "$jobs" --dist worksteal)
[ "$jobs" != 1 ] || in_parallel=(-p no:xdist)
pass parallel "($expression) and not integration" "${in_parallel[@]}" "$@"
pass serial "($expression) and integration" -p no:xdist --reruns 1 --rerun-show-tracebacks -raR "$@"

"$bin/python" - "$reports" "$failed" <<'PY'
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

outcomes = {}  # a module that skips itself is in both reports
for report in Path(sys.argv[1]).glob("*.xml"):
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        outcomes[case.get("classname"), case.get("name")] = outcome
good, bad, skipped = (list(outcomes.values()).count(kind) for kind in ("passed", "failed", "skipped"))
print(f"{good} passed, {bad} failed, {skipped} skipped")
sys.exit(int(sys.argv[2] != "0" or bad > 0 or good == 0))
PY
