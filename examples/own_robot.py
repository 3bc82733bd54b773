"""A robot of one's own: one URDF and one YAML file, no code.

Loads the small arm of ``examples/own_robot/``, shows where its tool and action frame are at home, and guards a motion
that would leave its workspace.
"""

from pathlib import Path

import numpy as np

import cosmos_ros as cr

arm = cr.load_embodiment(str(Path(__file__).parent / "own_robot" / "my_arm.yaml"))
print(f"{arm.name}: joints {', '.join(arm.all_joints)}, domain {arm.domain_name}, {arm.fps:g} Hz")

block = arm.layout.poses[0]
action_frame = arm.robot.fk(arm.home, block.link) @ block.tool_frame
place, approach = action_frame[:3, 3].round(3).tolist(), action_frame[:3, 2].round(2).tolist()
print(f"at home the tool is at {place} m and the fingers point along {approach}")

joints = arm.joint_names
times = np.linspace(0.0, 3.0, 16)
positions = np.tile([arm.home[name] for name in joints], (len(times), 1))
positions[:, 0] += 1.0 * (1.0 - np.cos(np.pi * times / 3.0))  # the first joint turns the arm out of its cell
velocities = np.gradient(positions, times, axis=0)
velocities[[0, -1]] = 0.0
trajectory = cr.JointTrajectory.from_seconds(joints, times, positions, velocities)
print(cr.Guard.for_embodiment(arm).judge(trajectory, cr.GuardContext.now(arm.home)).summary)
