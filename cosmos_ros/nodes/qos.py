"""The QoS profiles of every topic, in one place.

A best-effort subscription to a camera matches reliable and best-effort publishers alike (REP-2003 publishes sensor data
reliably and subscribes best-effort).
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def sensor(depth: int = 5) -> QoSProfile:
    """Images and joint states in: best effort, a few deep, volatile."""
    return _keep_last(depth, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)


def reliable(depth: int = 1) -> QoSProfile:
    """Trajectories, verdicts, diagnostics: every one arrives or the writer knows."""
    return _keep_last(depth, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)


def latched() -> QoSProfile:
    """Instruction and other rarely changing messages: late joiners get the last one."""
    return _keep_last(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def _keep_last(depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> QoSProfile:
    history = HistoryPolicy.KEEP_LAST
    return QoSProfile(history=history, depth=depth, reliability=reliability, durability=durability)
