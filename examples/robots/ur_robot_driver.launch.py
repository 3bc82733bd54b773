"""Predictor and guard for a UR5e with ur_robot_driver (read in its branch jazzy; not tried on hardware).

    ros2 launch ur_robot_driver ur_control.launch.py ur_type:=ur5e robot_ip:=ADDRESS
    ros2 launch examples/robots/ur_robot_driver.launch.py cameras:=camera_top=/camera/color/image_raw dry_run:=false

The driver starts the scaled controller. Keep the speed slider at 100 %: below it the robot lags behind what the guard
sent, and the guard brakes. The Robotiq gripper is ros2_robotiq_gripper's, as its robotiq_controllers.yaml names it.

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
    "embodiment": str(HERE / "ur5e_cell.yaml"),
    "params_file": str(HERE / "ur_robot_driver_guard.yaml"),
    "controllers": ",".join(
        (
            "joint_trajectory=FollowJointTrajectory:/scaled_joint_trajectory_controller/follow_joint_trajectory",
            "gripper_trajectory=GripperCommand:/robotiq_gripper_controller/gripper_cmd",
        )
    ),
    "joint_states": "/joint_states",
    "speed_scaling": "/speed_scaling_state_broadcaster/speed_scaling",
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
