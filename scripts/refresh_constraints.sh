#!/usr/bin/env bash
# Writes constraints/*.txt again: exact versions of the whole resolved sets, for Python 3.10 and newer (make constraints).
# Needs a package index; uv's universal resolver adds the markers. With names as arguments only those sets are written.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check uv

resolve() {  # set name, lowest Python, extras, further requirements...
    local name=$1 python=$2 extras=$3
    shift 3
    resolve_packages "$name" "$python" "cosmos_ros[$extras] @ file://$PWD" "setuptools>=65.5,<80" wheel "$@"
}

resolve_packages() {  # set name, lowest Python, requirements...
    local name=$1 python=$2
    shift 2
    printf '%s\n' "$@" >"$work/$name.in"
    "$work/venv/bin/uv" pip compile --quiet --universal --python-version "$python" --upgrade --no-header --no-annotate \
        --no-emit-package cosmos-ros "$work/$name.in" -o "$work/$name.txt"
    {
        echo "# Every package of 'scripts/venv.sh $name', pinned. Written by 'make constraints'."
        # torch itself pins the CUDA wheels of its build; a CPU build has none.
        grep -vE "^(nvidia-|cuda-|triton)|sys_platform == '(win32|emscripten)'" "$work/$name.txt"
    } >"constraints/$name.txt"
    echo "constraints/$name.txt: $(grep -cE '^[A-Za-z]' "constraints/$name.txt") pins"
}

sets=("$@")
[ ${#sets[@]} -gt 0 ] || sets=(demo test cosmos3 docs)
for set_name in "${sets[@]}"; do
    case $set_name in
        demo) resolve demo 3.10 ros,cli,kinematics,sim,bags,compact ;;
        # The test set holds the demo set at the same versions, since both live in one environment.
        test) resolve test 3.10 ros,cli,kinematics,sim,bags,compact,lerobot,network,ray,viewer,test,dev -r "$PWD/constraints/demo.txt" ;;
        # diffusers 0.42 needs Python 3.11.
        cosmos3) resolve cosmos3 3.11 ros,cli,cosmos3,kinematics,network,bags,sim,training,test "torch==2.13.0" ;;
        docs) resolve_packages docs 3.10 "mkdocs-material>=9.7,<10" "mkdocstrings[python]>=1.0,<2" ;;
        *) echo "no such set: $set_name" >&2; exit 1 ;;
    esac
done
