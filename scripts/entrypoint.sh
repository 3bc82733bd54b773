#!/usr/bin/env bash
# Entry point of the image: the environment of ROS 2, of the Python packages and of cosmos_ros, then the command.
set -eo pipefail # not -u: the setup files read unset variables
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

[ -z "${ROS_DISTRO:-}" ] || [ ! -f "/opt/ros/$ROS_DISTRO/setup.bash" ] || . "/opt/ros/$ROS_DISTRO/setup.bash"
. "$here/venv/bin/activate"
. "$here/install/setup.bash"
exec "$@"
