"""Predictor and guard for a robot that is already running."""

from cosmos_ros.bringup.launch_description import generate


def generate_launch_description():
    """Return the launch description."""
    return generate("predict")
