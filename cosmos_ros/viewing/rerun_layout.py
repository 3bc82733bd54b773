"""What stands where in the Rerun viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TIMELINE = "ros_time"

WORLD = "world"
PREDICTED = "rollout/predicted"
ACTUAL = "rollout/actual"
SHEET = "rollout/contact_sheet"
EVENTS = "events"


def camera(view: str) -> str:
    """Return the entity of a view's images."""
    return f"cameras/{view}"


def joint(name: str) -> str:
    """Return the entity of a joint's position with its limits."""
    return f"joints/{name}"


def commanded(name: str) -> str:
    """Return the entity of a joint's commanded position."""
    return f"joints/{name}/commanded"


def blueprint(views: Sequence[str], joints: Sequence[str]) -> Any:
    """Return the layout: robot and prediction beside what happened, cameras, joints with limits, guard events."""
    import rerun.blueprint as rrb

    eye = rrb.EyeControls3D(position=(1.25, -0.95, 0.85), look_target=(0.25, 0.0, 0.3), eye_up=(0.0, 0.0, 1.0))
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(
                rrb.Spatial3DView(origin=WORLD, name="robot, paths, scene", eye_controls=eye),
                rrb.Vertical(
                    rrb.Horizontal(
                        rrb.Spatial2DView(origin=PREDICTED, name="predicted"),
                        rrb.Spatial2DView(origin=ACTUAL, name="what then happened"),
                    ),
                    rrb.Spatial2DView(origin=SHEET, name="newest rollout"),
                    row_shares=[3, 1],
                ),
                column_shares=[1, 1],
            ),
            rrb.Horizontal(
                rrb.Grid(
                    *[
                        rrb.TimeSeriesView(
                            origin=joint(name),
                            name=name,
                            plot_legend=rrb.PlotLegend(visible=False),
                            # A limit far from the motion would flatten it.
                            axis_x=rrb.TimeAxis(link=rrb.components.LinkAxis.LinkToGlobal),
                        )
                        for name in joints
                    ],
                    grid_columns=4 if len(joints) > 4 else None,
                ),
                rrb.Vertical(
                    rrb.Horizontal(*[rrb.Spatial2DView(origin=camera(view), name=view) for view in views]),
                    rrb.TextLogView(origin=EVENTS, name="guard and diagnostics"),
                    row_shares=[1, 1],
                ),
                column_shares=[1, 1],
            ),
            row_shares=[3, 2],
        ),
        rrb.TimePanel(state="collapsed", timeline=TIMELINE),
        auto_views=False,
        collapse_panels=True,
    )
