"""Predictor and guard for a WidowX 250 6DOF with interbotix_xsarm_ros_control
(its branch jazzy was read; not tried on hardware).

    ros2 launch interbotix_xsarm_ros_control xsarm_ros_control.launch.py robot_model:=wx250s
    ros2 launch examples/robots/interbotix_xsarm.launch.py cameras:=image_0=/camera/color/image_raw dry_run:=false

Everything of the arm is in the namespace wx250s. Its controllers run at 10 Hz and have no velocities of their own.

The guard starts in a dry run. Every argument of predict.launch.py may be given as well.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

HERE = Path(__file__).resolve().parent
# Other defaults than predict.launch.py's.
ARGUMENTS = {
    "dry_run": "true",
    "embodiment": str(HERE / "wx250s_cell.yaml"),
    "params_file": str(HERE / "interbotix_xsarm_guard.yaml"),
    "controllers": ",".join(
        (
            "joint_trajectory=/wx250s/arm_controller/joint_trajectory",
            "gripper_trajectory=/wx250s/gripper_controller/joint_trajectory",
        )
    ),
    "joint_states": "/wx250s/joint_states",
    "robot_description": "/wx250s/robot_description",
}


def generate_launch_description():
    """Return the launch description."""
    predict = PathJoinSubstitution([FindPackageShare("cosmos_ros"), "launch", "predict.launch.py"])
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(name, default_value=value) for name, value in ARGUMENTS.items()),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(predict)),
        ]
    )
