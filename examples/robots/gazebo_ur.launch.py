"""Predictor and guard for a UR5e in Gazebo with ur_simulation_gz (read in its branch ros2; Gazebo not tried).

    ros2 launch ur_simulation_gz ur_sim_control.launch.py ur_type:=ur5e
    ros2 launch examples/robots/gazebo_ur.launch.py cameras:=camera_top=/camera/image dry_run:=false

The simulated arm has no gripper: no controller is named for it, and what a model says of it is not sent.

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
    "embodiment": str(HERE / "ur5e_gazebo.yaml"),
    "controllers": "joint_trajectory=/joint_trajectory_controller/joint_trajectory",
    "joint_states": "/joint_states",
    "robot_description": "/robot_description",
    "use_sim_time": "true",
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
