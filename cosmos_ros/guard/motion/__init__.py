"""The motion between the points of a trajectory: interpolation, kinematics along it, bounds and crossings."""
