"""Commanded and measured joint positions over time, with the limits."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite
from pathlib import Path

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, FloatArray, Int64Array, JointTrajectory

_MEASURED, _COMMANDED, _LIMIT = "#1f6feb", "#f0883e", "#cf222e"


def joint_plot(
    path: Path, embodiment: Embodiment, stamps: Int64Array, positions: FloatArray, sent: Sequence[JointTrajectory]
) -> None:
    """Write a PNG with one panel a joint.

    Args:
        path: File to write.
        embodiment: Names and limits of the joints.
        stamps: ``int64 [N]`` ns of the measured positions.
        positions: ``float64 [N, J]`` in the order of ``embodiment.all_joints``.
        sent: Trajectories sent to the controllers; each is drawn until the next one of its joints replaces it.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = embodiment.all_joints
    columns = 2
    figure, axes = plt.subplots(
        ceil(len(names) / columns), columns, figsize=(13, 2.1 * ceil(len(names) / columns)), sharex=True, squeeze=False
    )
    origin = int(stamps[0]) if len(stamps) else 0
    for index, name in enumerate(names):
        axis = axes[index // columns][index % columns]
        commanded = [t for t in sent if name in t.joint_names]
        for index_sent, trajectory in enumerate(commanded):
            following = commanded[index_sent + 1] if index_sent + 1 < len(commanded) else None
            end = trajectory.stamp_ns + int(trajectory.times_ns[-1])
            until = end if following is None else min(end, following.stamp_ns)
            times = np.linspace(trajectory.stamp_ns, max(until, trajectory.stamp_ns), 12)
            values = piecewise(trajectory)((times - trajectory.stamp_ns) / NANOSECONDS)
            column = trajectory.joint_names.index(name)
            axis.plot((times - origin) / NANOSECONDS, values[:, column], color=_COMMANDED, lw=2.2, alpha=0.8)
        axis.plot((stamps - origin) / NANOSECONDS, positions[:, index], color=_MEASURED, lw=1.0)
        limit = embodiment.limits.joints[name]
        low, high = axis.get_ylim()
        span = max(high - low, 1e-3)
        for bound in (limit.lower, limit.upper):
            # A limit far away is named, not drawn: it would flatten the motion to a line.
            if isfinite(bound) and low - 2 * span < bound < high + 2 * span:
                axis.axhline(bound, color=_LIMIT, lw=1.0, ls="--")
        axis.set_title(f"{name}   limits {limit.lower:.3g} to {limit.upper:.3g}", fontsize=8, loc="left")
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("time [s]", fontsize=8)
    handles = [
        plt.Line2D([], [], color=colour, lw=2, ls=style, label=label)
        for colour, style, label in (
            (_COMMANDED, "-", "commanded by the guard"),
            (_MEASURED, "-", "measured"),
            (_LIMIT, "--", "limit"),
        )
    ]
    figure.legend(handles=handles, loc="upper right", ncols=3, fontsize=8, frameon=False)
    figure.suptitle("Joint positions [rad, m]", fontsize=10, x=0.02, ha="left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
