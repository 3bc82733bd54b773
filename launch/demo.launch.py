"""Simulated robot, predictor and guard."""

from cosmos_ros.bringup.launch_description import generate


def generate_launch_description():
    """Return the launch description."""
    return generate("demo")
