"""Viewers that need no ROS installation. Nothing here is imported unless a viewer is asked for."""
