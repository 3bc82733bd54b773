#!/usr/bin/env bash
# Makes or updates a virtual environment for one set of pinned packages; does nothing when it is up to date.
#
#   scripts/venv.sh demo|test|cosmos3|docs
#
# Environment: VENV (default from scripts/common.sh), PYTHON (interpreter to use), COSMOS_ROS_NO_APT=1 (never call apt).
# Without a sourced ROS 2 the sets in constraints/ bring ROS 2 as wheels. With one, the environment sees the system's
# packages and gets only what is missing; the two never mix. The set docs holds tools only: no ROS 2, nor this package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
. scripts/common.sh

set_name=${1:?usage: scripts/venv.sh demo|test|cosmos3|docs}
pins="constraints/$set_name.txt"
[ -f "$pins" ] || die "no such set: $set_name" "Use one of: demo, test, cosmos3, docs."
venv=$(venv_path "$set_name")
stamp="$venv/.cosmos_ros-$set_name"

# An editable install carries no data files, and ament's tools look for them in the prefix. Folders are made and files
# linked, since launch does not follow links to folders.
link_data_files() {
    local files link
    files=$(find launch config embodiments scripts/nodes package.xml -type f -not -path '*/__pycache__/*' | sort)
    [ "$files" != "$(cat "$venv/.cosmos_ros-files" 2>/dev/null)" ] || return 0
    rm -rf "$venv/share/cosmos_ros" "$venv/lib/cosmos_ros"
    mkdir -p "$venv/share/ament_index/resource_index/packages"
    ln -sfn "$PWD/resource/cosmos_ros" "$venv/share/ament_index/resource_index/packages/cosmos_ros"
    while read -r file; do
        case $file in
            scripts/nodes/*) link="$venv/lib/cosmos_ros/${file##*/}" ;;
            *) link="$venv/share/cosmos_ros/$file" ;;
        esac
        mkdir -p "${link%/*}"
        ln -s "$PWD/$file" "$link"
    done <<<"$files"
    printf '%s' "$files" >"$venv/.cosmos_ros-files"
}

key=$({ cat constraints/*.txt setup.py scripts/venv.sh scripts/common.sh; echo "$PWD ${ROS_DISTRO:-}"; } | sha256sum)
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then
    [ "$set_name" = docs ] || link_data_files
    exit 0
fi

# One at a time: two make calls in one checkout would otherwise install over each other.
mkdir -p .cache
exec 9>".cache/venv.lock"
flock 9
started=$SECONDS

python=$(find_python)
if [ -x "$venv/bin/python" ] && ! python_is_new_enough "$venv/bin/python"; then
    say "$venv has a Python older than 3.10 or is broken; making it again"
    rm -rf "$venv"
fi
if [ ! -x "$venv/bin/python" ]; then
    say "making $venv with $("$python" --version) ($python)"
    ensure_system_packages "$python" "$set_name"
    if ros_is_sourced && [ "$set_name" != docs ]; then
        say "ROS 2 ${ROS_DISTRO:-} is sourced: using it and the system's packages, not the wheels"
        "$python" -m venv --system-site-packages "$venv"
        touch "$venv/COLCON_IGNORE"
    else
        "$python" -m venv "$venv"
    fi
fi

log="$venv/pip.log"
pip_install() {  # installs quietly, with a line of progress now and then, and the log's tail on failure
    if ! "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" 2>&1 |
        tee -a "$log" | awk -v tty="$([ -t 1 ] && echo 1 || echo 0)" '
            $1 == "Collecting" {
                n++; name = $2; sub(/[=<>~!;[].*/, "", name)
                if (tty) printf "\r\033[K    %d  %s", n, name; else if (n % 25 == 0) printf "    %d packages\n", n
                fflush()
            }
            /^Installing collected packages/ && n { printf "%s    unpacking %d packages\n", tty ? "\r\033[K" : "", n; fflush() }
            END { if (tty) printf "\r\033[K" }'; then
        tail -n 15 "$log" >&2
        die "pip could not install the packages (log: $log)" "Check the network or your pip configuration and try again."
    fi
}

: >"$log"
if [ "$set_name" = docs ]; then
    say "installing $(grep -cE '^[A-Za-z]' "$pins") pins of $pins"
    pip_install --no-deps -r "$pins"
    printf '%s' "$key" >"$stamp"
    say "$venv is ready for 'docs' ($((SECONDS - started)) s)"
    exit 0
fi
if ros_is_sourced && [ "$set_name" != cosmos3 ]; then
    say "installing what the system lacks"
    "$venv/bin/python" scripts/missing_requirements.py "$set_name" >"$venv/requirements.txt"
    pip_install -r "$venv/requirements.txt"
    pip_install --no-deps -e .
else
    [ "$set_name" = cosmos3 ] || [ "$(uname -sm)" = "Linux x86_64" ] ||
        die "ROS 2 wheels exist for Linux x86_64 only (this is $(uname -sm))" \
            "Install ROS 2 Jazzy or Kilted, source its setup.bash and run make again."
    say "installing $(grep -cE '^[A-Za-z]' "$pins") pins of $pins"
    if [ "$set_name" = cosmos3 ]; then
        # With dependencies: which CUDA wheels torch needs depends on its build. A sourced ROS 2 and the wheels never mix.
        ros_is_sourced && grep -vE '^(ros-|empy|lark-parser)' "$pins" >"$venv/requirements.txt" || cp "$pins" "$venv/requirements.txt"
        pip_install -r "$venv/requirements.txt"
    else
        pip_install --no-deps -r "$pins"
    fi
    pip_install --no-deps --no-build-isolation -e .
fi

link_data_files

if [ "$set_name" != cosmos3 ]; then
    ensure_rendering "$venv/bin/python"
fi
[ "$set_name" != test ] || ensure_browser
printf '%s' "$key" >"$stamp"
say "$venv is ready for '$set_name' ($((SECONDS - started)) s)"
