"""The simulated robot: a Franka at a table in MuJoCo, its controllers, and a scripted expert. No ROS."""
