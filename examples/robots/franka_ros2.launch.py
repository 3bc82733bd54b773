"""Predictor and guard for an FR3 with franka_ros2 (read in its branch jazzy, 2.x; not tried on hardware).

The robot first, with a joint trajectory controller, which franka_bringup's own file lacks:

    ros2 launch franka_bringup franka.launch.py robot_type:=fr3 robot_ip:=ADDRESS load_gripper:=true \
        joint_state_rate:=100 controllers_yaml:=$PWD/examples/robots/franka_ros2_controllers.yaml
    ros2 run controller_manager spawner fr3_arm_controller
    ros2 launch examples/robots/franka_ros2.launch.py cameras:=wrist=/wrist_cam/image_raw dry_run:=false

The gripper's server takes GripperCommand at /franka_gripper/gripper_action: the position is that of one finger.

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
    "embodiment": str(HERE / "fr3_cell.yaml"),
    "params_file": str(HERE / "franka_ros2_guard.yaml"),
    "controllers": ",".join(
        (
            "joint_trajectory=FollowJointTrajectory:/fr3_arm_controller/follow_joint_trajectory",
            "gripper_trajectory=GripperCommand:/franka_gripper/gripper_action",
        )
    ),
    "joint_states": "/joint_states",
    "robot_description": "/robot_description",
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
