"""Settings of the guard: declared once, the same for the node, a file and Python; and limits of other packages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import pytest
import yaml
from guard_support import NOW, PANDA, context, joint_guard, panda_limits, reach
from model_support import TIP, model

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import ConfigError, CosmosRosError, GuardError
from cosmos_ros.guard import Box, Guard, GuardContext, GuardedRobot, GuardSettings, Response, Surroundings, Violation
from cosmos_ros.guard.checks import check_registry
from cosmos_ros.guard.checks.base import Case, Cure, Limit
from cosmos_ros.guard.checks.singularity import SingularitySettings
from cosmos_ros.guard.supervision.node_settings import guard_parameters as parameters
from cosmos_ros.resources import resource
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import NANOSECONDS, JointState


def test_the_defaults_are_those_of_the_node():
    node = {one.name: one.default for one in parameters()}
    settings = GuardSettings()
    assert {name: node[name] for name in settings.to_mapping()} == settings.to_mapping()
    assert GuardSettings.from_file(resource("config", "guard.yaml"), parameters()) == settings
    assert settings.differences() == {}


def test_a_mapping_and_a_file_give_the_same(tmp_path):
    changed = GuardSettings(velocity_scale=0.5, minimum_singular_value=0.03).replace(**{"check.effort": True})
    assert changed.differences() == {"velocity_scale": 0.5, "minimum_singular_value": 0.03, "check.effort": True}
    assert GuardSettings.from_mapping(changed.to_mapping()) == changed
    assert changed.of(SingularitySettings).minimum_singular_value == 0.03
    file = tmp_path / "guard.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "/**": {"ros__parameters": {"velocity_scale": 0.9}},
                "/robot/guard": {
                    "ros__parameters": {
                        "velocity_scale": 0.5, "minimum_singular_value": 0.03, "check": {"effort": True},
                        "dry_run": True,
                    }
                },
            }
        )
    )  # fmt: skip
    assert GuardSettings.from_file(file, parameters()) == changed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("/guard: {ros__parameters: {velocity_scal: 0.5}}", "velocity_scal is not known; meant velocity_scale?"),
        ("/guard: {ros__parameters: {velocity_scale: 5.0}}", "5.0 is outside 0.01 to 1.0"),
        ("/guard: {ros__parameters: {velocity_scale: fast}}", "must be a finite number"),
        ("/predictor: {ros__parameters: {seed: 1}}", "no parameters for node guard"),
        ("- 1", "no parameters for node guard"),
        ("/guard: [", "cannot be read"),
        ("/guard: !!python/object:os.system {}", "cannot be read"),
    ],
)
def test_wrong_files_are_named(tmp_path, text, problem):
    file = tmp_path / "limits.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=problem) as raised:
        GuardSettings.from_file(file)
    assert "limits.yaml" in str(raised.value)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        GuardSettings.from_file(tmp_path / "none.yaml")


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="position_margi is not known; meant position_margin"):
        GuardSettings(position_margi=0.1)


@pytest.mark.parametrize("where", ["setting", "embodiment"])
def test_keep_out_boxes_stop_the_arm(where):
    at_home = model().fk(np.append(reach(0.1).positions[0], 0.0), TIP)[:3, 3]
    trajectory = reach(np.array([0.6, 0, 0, 0, 0, 0, 0]), duration=2.0)
    ends = model().fk(np.append(trajectory.positions[-1], 0.0), TIP)[:3, 3]
    corners = np.concatenate((ends - 0.05, ends + 0.05))
    assert (np.abs(at_home - ends) > 0.05).any()
    if where == "setting":
        around = Surroundings(links=(TIP,))
        settings = GuardSettings(keep_out=" ".join(f"{x:.4f}" for x in corners))
    else:
        around = Surroundings(links=(TIP,), keep_out=(Box(tuple(corners[:3]), tuple(corners[3:])),))
        settings = GuardSettings()
    guard = Guard(GuardedRobot(panda_limits(), model(), around), settings)
    verdict = guard.judge(trajectory, context())
    assert verdict.response is Response.TRUNCATE
    assert verdict.first is not None and verdict.first.limit == "keep_out"


def test_an_embodiment_file_may_say_where_not_to_be(tmp_path):
    file = tmp_path / "cell.yaml"
    file.write_text(
        f"extends: {resource('embodiments', 'franka.yaml')}\nname: cell\nworkspace:\n"
        "  box: {lower: [-1, -1, 0], upper: [1, 1, 1]}\n"
        "  keep_out:\n    - {lower: [0.3, 0.3, 0.0], upper: [0.5, 0.5, 0.4]}\n"
    )
    guard = Guard.for_embodiment(load_embodiment(str(file)))
    assert guard.robot.surroundings.keep_out == (Box((0.3, 0.3, 0.0), (0.5, 0.5, 0.4)),)
    assert {"workspace", "keep_out"} <= {check.name for check in guard.checker.checks}


@pytest.mark.parametrize("text", ["1 2 3", "0 0 0 1 1 x", "1 0 0 0 1 1", "0 0 0 1 1 nan"])
def test_wrong_boxes_are_refused(text):
    with pytest.raises(ConfigError, match="keep_out"):
        GuardSettings(keep_out=text)


def test_every_embodiment_with_controllers_has_a_guard():
    franka = load_embodiment("franka")
    guard = Guard.for_embodiment(franka)
    assert guard.robot.controllers == tuple(joints for _, joints in franka.controllers)
    assert {"self_collision", "singularity"} <= {check.name for check in guard.checker.checks}
    with pytest.raises(ConfigError, match="umi has no controllers"):
        Guard.for_embodiment(load_embodiment("umi"))


# -- limits of other packages -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ElbowSettings(DeclaredSettings):
    """Settings of the elbow limit."""

    elbow_limit: float = setting(-1.0, "Highest angle of the elbow", unit="rad", minimum=-3.0, maximum=0.0)


class Elbow(Limit):
    """The elbow stays bent."""

    name = "elbow"
    cure = Cure.STOPPING
    settings_type = ElbowSettings

    def __call__(self, case: Case) -> list[Violation]:
        column = case.motion.names.index("panda_joint4")
        over = np.flatnonzero(case.motion.positions[:, column] > self.settings.elbow_limit)
        if not over.size:
            return []
        step = int(over[0])
        value = float(case.motion.positions[step, column])
        return [
            Violation(
                self.name, "panda_joint4", step, float(case.motion.times[step]), value, self.settings.elbow_limit,
                last_safe_point=step - 1,
            )
        ]  # fmt: skip


def _install(monkeypatch: pytest.MonkeyPatch, points: Sequence[metadata.EntryPoint]) -> None:
    real = metadata.entry_points

    def entry_points(**selection: str) -> Sequence[metadata.EntryPoint]:
        return points if selection.get("group") == check_registry.ENTRY_POINT_GROUP else real(**selection)

    monkeypatch.setattr(check_registry.metadata, "entry_points", entry_points)
    check_registry.check_types.cache_clear()


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    yield
    check_registry.check_types.cache_clear()


@pytest.mark.usefixtures("fresh_registry")
def test_a_limit_of_another_package_is_a_check_like_the_others(monkeypatch):
    _install(monkeypatch, [metadata.EntryPoint("elbow", f"{__name__}:Elbow", check_registry.ENTRY_POINT_GROUP)])
    assert {"check.elbow", "elbow_limit"} <= {one.name for one in parameters()}
    straighten = reach(np.array([0, 0, 0, 1.5, 0, 0, 0]), duration=3.0)
    moment = GuardContext(NOW, JointState(NOW - NANOSECONDS // 100, PANDA, straighten.positions[0], np.zeros(7)))
    verdict = Guard(panda_limits(), GuardSettings(elbow_limit=-1.2)).judge(straighten, moment)
    assert verdict.response is Response.TRUNCATE and verdict.first.limit == "elbow"
    assert verdict.trajectory.positions[:, 3].max() <= -1.2
    off = GuardSettings().replace(**{"check.elbow": False})
    assert Guard(panda_limits(), off).judge(straighten, moment).response is Response.ACCEPT


@pytest.mark.usefixtures("fresh_registry")
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (f"{__name__}:ElbowSettings", "is not a subclass of Limit"),
        ("no_such_package:Limit", "No module named"),
        ("cosmos_ros.guard.checks.velocity:Velocity", "two checks are named velocity"),
    ],
)
def test_a_limit_that_cannot_be_used_is_never_left_out_in_silence(monkeypatch, value, problem):
    _install(monkeypatch, [metadata.EntryPoint("broken", value, check_registry.ENTRY_POINT_GROUP)])
    with pytest.raises(GuardError, match=problem):
        Guard(panda_limits())


def test_errors_of_settings_are_typed():
    with pytest.raises(CosmosRosError):
        joint_guard(velocity_scale=-1.0)


def test_the_mutants_still_name_lines_that_are_there():
    from mutate import listed, silenced

    assert len(list(listed())) > 100 and len(list(silenced())) > 25
