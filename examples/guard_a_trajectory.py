"""Guard a joint trajectory: four lines, without ROS.

Prints what the guard says to a motion that is too fast, and what it would send instead.
"""

import numpy as np

import cosmos_ros as cr

franka = cr.load_embodiment("franka")
joints = franka.joint_names
times = np.linspace(0.0, 0.5, 9)
positions = np.tile([franka.home[name] for name in joints], (len(times), 1))
positions[:, 0] += 0.6 * (1.0 - np.cos(np.pi * times / 0.5))  # joint 1 goes 1.2 rad in half a second
velocities = np.gradient(positions, times, axis=0)
velocities[[0, -1]] = 0.0

guard = cr.Guard.for_embodiment(franka)
trajectory = cr.JointTrajectory.from_seconds(joints, times, positions, velocities)
verdict = guard.judge(trajectory, cr.GuardContext.now(franka.home))
print(verdict.summary)

if verdict.trajectory is not None:
    print(f"to be sent: {len(verdict.trajectory.times_ns)} points, {verdict.trajectory.times_ns[-1] / 1e9:.2f} s")
