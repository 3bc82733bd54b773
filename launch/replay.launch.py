"""Predictor and guard fed by a bag."""

from cosmos_ros.bringup.launch_description import generate


def generate_launch_description():
    """Return the launch description."""
    return generate("replay")
