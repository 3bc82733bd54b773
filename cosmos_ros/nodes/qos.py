"""The QoS profiles of every topic, in one place.

Cameras are met as they are: a best-effort subscription matches reliable and best-effort publishers alike
(REP-2003 publishes sensor data reliably and subscribes best-effort).
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def sensor(depth: int = 5) -> QoSProfile:
    """Images and joint states in: best effort, a few deep, volatile."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
    )  # fmt: skip


def reliable(depth: int = 1) -> QoSProfile:
    """Trajectories, verdicts, diagnostics: every one arrives or the writer knows."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.VOLATILE,
    )  # fmt: skip


def latched(depth: int = 1) -> QoSProfile:
    """Instruction and other rarely changing facts: late joiners get the last one."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )  # fmt: skip
