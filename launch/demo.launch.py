"""Simulated robot, predictor and guard."""

from cosmos_ros.bringup.description import generate


def generate_launch_description():
    """Return the launch description."""
    return generate("demo")
