# Shared by the scripts in this folder; sourced, never run.
# shellcheck shell=bash

# What MuJoCo needs to render without a screen and without a GPU: EGL, OpenGL and Mesa's software driver.
RENDERING_PACKAGES=(libegl1 libopengl0 libgl1-mesa-dri)

say() { printf '==> %s\n' "$*"; }

die() {  # message, hint
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf '       %s\n' "$2" >&2
    exit 1
}

ros_is_sourced() { [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ]; }

venv_path() {  # set name -> folder; a sourced ROS gets its own, so that the two kinds never share one
    if [ -n "${VENV:-}" ]; then
        echo "$VENV"
    elif [[ ${1:-} = @(cosmos3|docs) ]]; then
        echo ".venv-$1"
    elif ros_is_sourced; then
        echo ".venv-$ROS_DISTRO"
    else
        echo .venv
    fi
}

python_is_new_enough() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; }

find_python() {  # prints an interpreter the wheels exist for (3.10 to 3.14)
    local candidate
    if ros_is_sourced; then  # rclpy is compiled for this one only
        candidate=${PYTHON:-python3}
        "$candidate" -c 'import rclpy' 2>/dev/null || die "ROS 2 $ROS_DISTRO is sourced but $candidate cannot import rclpy" \
            "Put the system's python3 first on PATH (deactivate other environments), or use a shell without ROS."
        command -v "$candidate"
        return
    fi
    for candidate in ${PYTHON:-} python3 python3.12 python3.11 python3.13 python3.10 python3.14; do
        if command -v "$candidate" >/dev/null && python_is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "no Python 3.10 to 3.14 on PATH (python3 is $(python3 --version 2>/dev/null || echo missing))" \
        "Debian and Ubuntu: $(apt_line python3 python3-venv)"
}

apt_line() { echo "sudo apt-get install -y --no-install-recommends $*"; }

apt_may_install() {
    [ "${COSMOS_ROS_NO_APT:-0}" != 1 ] && command -v apt-get >/dev/null &&
        { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

apt_install() {
    local log=.cache/apt.log as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    say "installing system packages: $*"
    mkdir -p .cache
    {
        "${as_root[@]}" apt-get update -qq &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    } >"$log" 2>&1 </dev/null || { tail -n 5 "$log" >&2; return 1; }
}

ensure_system_packages() {  # interpreter, set name: asks for everything that is surely missing in one go
    local packages=() can_make_venv=yes
    if ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then  # Debian's python3 comes without
        can_make_venv=no
        packages+=("$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
    fi
    if [[ $2 != @(cosmos3|docs) ]] && ! "$1" -c 'import ctypes; ctypes.CDLL("libEGL.so.1")' 2>/dev/null; then
        packages+=("${RENDERING_PACKAGES[@]}")
    fi
    [ ${#packages[@]} -gt 0 ] || return 0
    if apt_may_install && apt_install "${packages[@]}"; then
        return 0
    fi
    # Without EGL another library may still do; ensure_rendering tries it when MuJoCo is installed.
    [ $can_make_venv = yes ] || die "$1 cannot make virtual environments (no ensurepip)" "$(apt_line "${packages[@]}")"
}

renders() {  # can the simulated camera make an image here, with the backend that it chooses itself?
    timeout 60 "$1" -m cosmos_ros.sim.rendering >/dev/null 2>&1
}

ensure_rendering() {
    if renders "$1"; then
        return
    fi
    if apt_may_install && apt_install "${RENDERING_PACKAGES[@]}" && renders "$1"; then
        return
    fi
    die "MuJoCo cannot render off screen here; the simulated robot's camera needs EGL with Mesa's software driver" \
        "$(apt_line "${RENDERING_PACKAGES[@]}")"
}

ensure_browser() {  # in CI, where it can be had as a package: for the tests that look at the viewer's page
    [ "${CI:-}" = true ] && grep -qs '^ID=debian' /etc/os-release || return 0
    command -v chromium >/dev/null || command -v google-chrome >/dev/null && return
    apt_may_install && apt_install chromium || say "no Chromium: the tests that look at a page will say that they were skipped"
}
