#!/usr/bin/env bash
# The steps of the Dockerfile. Each can be run anywhere, so that they are exercised without a Docker engine:
#
#   scripts/image.sh system    apt packages: those of package.xml that have an apt key, rendering, venv
#   scripts/image.sh python    $PREFIX/venv with the Python packages that the system lacks
#   scripts/image.sh gpu       the extra cosmos3 into it, when GPU=1
#   scripts/image.sh build     colcon build into $PREFIX/install, entry point to $PREFIX
#   scripts/image.sh user      the user the image runs as
#   scripts/image.sh check     the built prefix starts, as a user without rights
#   scripts/image.sh demo      the demo's task runs in the built prefix
#   scripts/image.sh rehearse  all of the above into a temporary prefix (make docker-steps)
#
# Environment: PREFIX (default /opt/cosmos_ros), GPU (0 or 1), UID_ (of the user), DRY_RUN=1 (nothing is changed outside
# the prefix: apt simulates, no user is added).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
. scripts/common.sh

PREFIX=${PREFIX:-/opt/cosmos_ros}
SYSTEM_PACKAGES=(
    python3-venv python3-pip python3-numpy python3-opencv python3-scipy python3-yaml python3-psutil
    "${RENDERING_PACKAGES[@]}"
)
# Of package.xml, what the image's base lacks. In the ROS repository only, which that base has.
ROS_PACKAGES=(
    python3-colcon-common-extensions "ros-${ROS_DISTRO:-jazzy}-cv-bridge" "ros-${ROS_DISTRO:-jazzy}-pinocchio"
    "ros-${ROS_DISTRO:-jazzy}-rosbag2-py" "ros-${ROS_DISTRO:-jazzy}-rosbag2-storage-mcap"
)

step_system() {
    if [ "${DRY_RUN:-0}" = 1 ]; then
        command -v apt-get >/dev/null || { say "no apt-get here; skipped"; return; }
        say "would also install, of the ROS repository: ${ROS_PACKAGES[*]}"
        apt-get install --simulate -qq --no-install-recommends "${SYSTEM_PACKAGES[@]}" | grep -c '^Inst' || true
        return
    fi
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${SYSTEM_PACKAGES[@]}" "${ROS_PACKAGES[@]}"
    rm -rf /var/lib/apt/lists/*
}

step_python() {
    if [ -f "/opt/ros/${ROS_DISTRO:-none}/setup.bash" ]; then
        set +u
        . "/opt/ros/$ROS_DISTRO/setup.bash"
        set -u
        python3 -m venv --system-site-packages "$PREFIX/venv"
    else
        # No image around it: the same versions as wheels stand in for the system, in the environment itself.
        "$(noble_python)" -m venv "$PREFIX/venv"
        "$PREFIX/venv/bin/python" -m pip install -qq --disable-pip-version-check -r constraints/rosdep-noble.txt
    fi
    "$PREFIX/venv/bin/python" scripts/missing_requirements.py demo >"$PREFIX/requirements.txt"
    "$PREFIX/venv/bin/python" -m pip install --no-cache-dir -qq --disable-pip-version-check -r "$PREFIX/requirements.txt"
}

noble_python() {  # Ubuntu 24.04's Python, or what there is
    local candidate
    for candidate in python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12.*/bin/python3 /usr/bin/python3.12; do
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    find_python
}

step_gpu() {
    [ "${GPU:-0}" = 1 ] || { say "GPU=${GPU:-0}: without torch"; return; }
    "$PREFIX/venv/bin/python" scripts/missing_requirements.py cosmos3 >"$PREFIX/requirements-gpu.txt"
    # The tested versions of the model's libraries; the rest follows the system.
    grep -E '^(torch|diffusers|transformers|accelerate|safetensors|tokenizers|huggingface-hub)==' constraints/cosmos3.txt \
        >"$PREFIX/constraints-gpu.txt"
    "$PREFIX/venv/bin/python" -m pip install --no-cache-dir -qq -r "$PREFIX/requirements-gpu.txt" \
        -c "$PREFIX/constraints-gpu.txt"
}

step_build() {
    # colcon writes the interpreter it runs on into its setup files; the environment's is the one that sees everything.
    set +u
    [ ! -f "/opt/ros/${ROS_DISTRO:-none}/setup.bash" ] || . "/opt/ros/$ROS_DISTRO/setup.bash"
    . "$PREFIX/venv/bin/activate"
    set -u
    python -m colcon --log-base "$PREFIX/log" build --merge-install \
        --base-paths . --build-base "$PREFIX/build" --install-base "$PREFIX/install"
    rm -rf "$PREFIX/build" "$PREFIX/log"
    python -m compileall -q "$PREFIX/install" # colcon does not, and the image's user cannot write
    install -m 755 scripts/entrypoint.sh "$PREFIX/entrypoint.sh"
}

step_user() {
    [ "${DRY_RUN:-0}" = 1 ] && { getent passwd cosmos || say "would add user cosmos (${UID_:-1100})"; return; }
    useradd --create-home --uid "${UID_:-1100}" --shell /bin/bash cosmos
}

step_check() {
    local as_user=()
    # Everything must be readable, and nothing need be written, by a user without rights.
    if [ "$(id -u)" = 0 ]; then
        as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
        if ! "${as_user[@]}" "$PREFIX/venv/bin/python" -c '' 2>/dev/null; then
            say "the Python of the environment can be run by root only; checking as root"
            as_user=()
        fi
    fi
    "${as_user[@]}" env HOME=/nonexistent "$PREFIX/entrypoint.sh" cosmos-ros --version
    "${as_user[@]}" env HOME=/nonexistent "$PREFIX/entrypoint.sh" python3 - "$(ls -1 scripts/nodes | sort)" <<'PY'
import os
import sys
from pathlib import Path

from ament_index_python.packages import get_package_prefix, get_package_share_directory

executables = Path(get_package_prefix("cosmos_ros"), "lib", "cosmos_ros")
found = sorted(p.name for p in executables.iterdir() if os.access(p, os.X_OK))
assert found == ["guard", "predictor", "rerun_viewer", "sim_robot", "visualizer"], found
share = Path(get_package_share_directory("cosmos_ros"))
for folder in ("launch", "config", "embodiments"):
    assert any((share / folder).iterdir()), folder
print("as uid", os.getuid(), "executables:", *found)
PY
}

step_demo() {
    # The demo's task, with nothing but what the steps before have installed.
    "$PREFIX/entrypoint.sh" python3 -c 'import sys, numpy, scipy, cv2
print("Python", sys.version.split()[0], "NumPy", numpy.__version__, "SciPy", scipy.__version__, "OpenCV", cv2.__version__)'
    (cd "$PREFIX" && "$PREFIX/entrypoint.sh" cosmos-ros demo --out "$PREFIX/demo")
}

rehearse() {
    PREFIX=$(mktemp -d)
    trap 'rm -rf "$PREFIX"' EXIT
    chmod 755 "$PREFIX"
    DRY_RUN=1
    local name
    for name in system python gpu build user check demo; do
        say "$name"
        "step_$name"
    done
    say "every step of the Dockerfile ran"
}

case ${1:-} in
    system | python | gpu | build | user | check | demo) "step_$1" ;;
    rehearse) rehearse ;;
    *) die "usage: scripts/image.sh system|python|gpu|build|user|check|demo|rehearse" ;;
esac
