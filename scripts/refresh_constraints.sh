#!/usr/bin/env bash
# Writes constraints/*.txt again: exact versions of the whole resolved sets, for Python 3.10 and newer (make constraints).
# Needs a package index; uv's universal resolver adds the markers. With names as arguments only those sets are written.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check uv

resolve() {  # set name, extras, further requirements...
    local name=$1 extras=$2
    shift 2
    {
        echo "cosmos_ros[$extras] @ file://$PWD"
        printf '%s\n' "setuptools>=65.5,<80" wheel "$@"
    } >"$work/$name.in"
    "$work/venv/bin/uv" pip compile --quiet --universal --python-version 3.10 --upgrade --no-header --no-annotate \
        --no-emit-package cosmos-ros "$work/$name.in" -o "$work/$name.txt"
    {
        echo "# Every package of 'scripts/venv.sh $name', pinned; installed with pip's --no-deps. Written by 'make constraints'."
        cat "$work/$name.txt"
    } >"constraints/$name.txt"
    echo "constraints/$name.txt: $(grep -cE '^[A-Za-z]' "constraints/$name.txt") pins"
}

sets=("$@")
[ ${#sets[@]} -gt 0 ] || sets=(demo test cosmos3)
for set_name in "${sets[@]}"; do
    case $set_name in
        demo) resolve demo ros,kinematics,sim,bags ;;
        # The test set holds the demo set at the same versions, since both live in one environment.
        test) resolve test ros,kinematics,sim,bags,lerobot,network,test,dev -r "$PWD/constraints/demo.txt" ;;
        # The CPU build is what the tests need; a GPU machine takes its own torch.
        cosmos3) resolve cosmos3 cosmos3,kinematics,network,test "torch==2.13.0" ;;
        *) echo "no such set: $set_name" >&2; exit 1 ;;
    esac
done
