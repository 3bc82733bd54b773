"""Embodiment files: what is accepted, and how errors speak."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from robots import NAMES, ROOT, embodiment

from cosmos_ros.embodiment import list_embodiments, load_embodiment, load_spec, schema_text
from cosmos_ros.errors import ConfigError

FOLDER = ROOT / "embodiments"

REQUIRED = {
    "franka", "franka_fr3", "franka_robomind", "franka_fr3_robomind", "franka_dual", "ur3e", "ur5e", "ur10e", "ur16e",
    "ur20", "ur30", "widowx250s", "agibot_g1", "umi", "google_robot", "av", "camera_pose",
}  # fmt: skip


def test_the_promised_embodiments_are_shipped():
    assert set(list_embodiments()) >= REQUIRED


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_file_loads_and_fits_its_robot(name):
    robot = embodiment(name)
    assert robot.name == name
    assert robot.action_dim == len(robot.layout.names) == len(robot.normaliser.scale)
    assert robot.has_joints == (robot.robot is not None)
    solver = robot.solver()
    assert (solver is None) == (not robot.has_joints)
    for joint in robot.all_joints:
        limit = robot.limits.joints[joint]
        assert limit.lower <= robot.home[joint] <= limit.upper
        assert limit.source
        assert 0 < limit.velocity < 20
    if solver is not None:
        assert solver.joint_names == robot.joint_names
        assert set(robot.limits.required_joints) == set(robot.joint_names)
        commanded = [joint for _, joints in robot.controllers for joint in joints]
        assert sorted(commanded) == sorted(robot.all_joints)
        assert {topic for topic, _ in robot.controllers} <= {"joint_trajectory", "gripper_trajectory"}


def test_schema_file_is_current():
    assert (FOLDER / "schema.json").read_text() == schema_text(), "run: cosmos-ros embodiments schema --out FILE"


def test_every_field_is_documented():
    schema = json.loads(schema_text())
    for owner, definition in [("", schema), *schema["$defs"].items()]:
        for field, description in definition.get("properties", {}).items():
            kind = schema["$defs"].get(description.get("$ref", "").rsplit("/", 1)[-1], {})
            assert description.get("description") or kind.get("description"), f"{owner}.{field}"


# Changes to a valid file of one's own, and what the error must say.

ARM = [f"panda_joint{i}" for i in range(1, 8)]
TWICE = [
    {"topic": "joint_trajectory", "joints": ARM},
    {"topic": "joint_trajectory", "joints": ["panda_finger_joint1"]},
]
MILLIMETRES = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 103.4], [0, 0, 0, 1]]

BASE = """
name: mine
description: A test robot.
domain: {name: droid_lerobot, id: 8}
fps: 15
chunk_size: 16
action:
  layout:
    - pose: panda_link8
      tool_frame: [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    - {grip: gripper, row: k}
  normaliser:
    kind: quantile
    q01: [-1, -1, -1, -1, -1, -1, -1, -1, -1, 0]
    q99: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
grippers:
  gripper: {model: {closed: 0, open: 1}, joint: panda_finger_joint1, joint_range: {closed: 0, open: 0.04}}
cameras:
  front: {}
canvas: {rows: [[front]]}
prompt: {view_point: ego_view}
robot:
  urdf: panda.urdf
  base_frame: panda_link0
  joints: [panda_joint1, panda_joint2, panda_joint3, panda_joint4, panda_joint5, panda_joint6, panda_joint7]
  home: {panda_joint1: 0, panda_joint2: 0, panda_joint3: 0, panda_joint4: -1.5, panda_joint5: 0, panda_joint6: 1.5,
    panda_joint7: 0}
  controllers:
    - topic: joint_trajectory
      joints: [panda_joint1, panda_joint2, panda_joint3, panda_joint4, panda_joint5, panda_joint6, panda_joint7]
limits: {source: a test}
"""


def write(folder: Path, change=lambda data: None, name: str = "mine") -> Path:
    shutil.copy(FOLDER / "urdf" / "panda.urdf", folder / "panda.urdf")
    data = yaml.safe_load(BASE)
    change(data)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def setter(*keys_and_value):
    *keys, last, value = keys_and_value

    def change(data):
        for key in keys:
            data = data[key]
        if value is None:
            del data[last]
        else:
            data[last] = value

    return change


def test_a_file_of_ones_own_loads_from_anywhere(tmp_path):
    robot = load_embodiment(write(tmp_path))
    assert robot.joint_names == tuple(f"panda_joint{i}" for i in range(1, 8))
    assert load_embodiment(str(write(tmp_path))).name == "mine"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (setter("fsp", 15), r"mine\.yaml: fsp: unknown field; allowed here: .*fps"),
        (setter("fps", None), r"fps: missing"),
        (setter("fps", -3), r"fps: .*greater than 0, got -3"),
        (setter("fps", float("nan")), r"fps: "),
        (setter("chunk_size", 0), r"chunk_size: .*greater than or equal to 1, got 0"),
        (setter("domain", "id", 40), r"domain\.id: .*31, got 40"),
        (setter("name", "other"), r"name: 'other' must be the file's name, 'mine'"),
        (setter("prompt", "view_point", "side"), r"prompt\.view_point: .*'ego_view'.*'concat_view', got 'side'"),
        (setter("canvas", "tier", 512), r"canvas\.tier: .*256, 480, 704 or 720, got 512"),
        (setter("canvas", "rows", [["left"]]), r"canvas\.rows places \['left'\], but cameras are \['front'\]"),
        (setter("cameras", "front", {"devide": 2}), r"cameras\.front\.devide: unknown field; allowed here: .*divide"),
        (setter("action", "layout", 0, "tool_frame", [[1, 0, 0], [0, 1, 0], [0, 0, -1]]), r"layout\.0\.tool_frame"),
        (setter("action", "layout", 0, "tool_frame", [[1, 0], [0, 1]]), r"action\.layout\.0\.tool_frame"),
        (setter("action", "layout", 1, "row", "k-1"), r"action\.layout\.1\.row: .*'k' or 'k\+1', got 'k-1'"),
        (setter("action", "layout", 1, {"grab": "gripper"}), r"action\.layout\.1: .*pose, grip, joints"),
        (setter("action", "layout", 1, "grip", "hand"), r"action\.layout uses grippers \['hand'\].*\['gripper'\]"),
        (setter("action", "normaliser", "q01", [0.0] * 9), r"action\.normaliser: .*equal length, got 9 and 10"),
        (setter("action", "normaliser", "q99", [-1.0] * 9 + [1.0]), r"q99\[0\] = -1\.0 must be above q01\[0\] = -1\.0"),
        (setter("action", "normaliser", "kind", "minmax"), r"action\.normaliser\.kind: .*'quantile'.*, got 'minmax'"),
        (setter("action", "normaliser", "kind", "none"), r"q01 and q99 belong to kind quantile, not none"),
        (setter("grippers", "gripper", "model", {"closed": 1, "open": 1}), r"grippers\.gripper\.model: .*must differ"),
        (setter("grippers", "gripper", "joint_range", None), r"grippers\.gripper: joint and joint_range"),
        (setter("robot", "urdf", "none.urdf"), r"robot\.urdf: no such file"),
        (setter("robot", "base_frame", "world"), r"robot\.base_frame: 'world'.*root link, 'panda_link0'"),
        (setter("robot", "base_frame", "panda_link1"), r"joints below panda_link1: .*no joint 'panda_joint1'"),
        (setter("robot", "controllers", 0, "joints", ["panda_joint1"]), r"controllers leaves out \['panda_joint2'"),
        (setter("robot", "controllers", 0, "joints", ARM + ARM[:1]), r"controllers: joint panda_joint1 stands twice"),
        (setter("robot", "controllers", TWICE), r"controllers: topic joint_trajectory stands twice"),
        (setter("robot", "joints", ARM + ARM[:1]), r"robot\.joints panda_joint1 stands twice"),
        (setter("robot", "home", "panda_joint4", -135.0), r"robot\.home\.panda_joint4: -135 is outside.*Give radians"),
        (setter("robot", "nominal", {"panda_joint4": 0.5}), r"robot\.nominal\.panda_joint4: 0\.5 is outside"),
        (setter("robot", "tool_links", []), r"robot\.tool_links: .*at least 1"),
        (setter("robot", "tool_links", ["panda_hand"]), r"tool_links \['panda_hand'\] must be.*\['panda_link8'\]"),
        (setter("grippers", "gripper", "joint_range", "open", 0.08), r"joint_range\.open: 0\.08 is outside the limits"),
        (setter("grippers", "gripper", "speed", [0.2, 0.1]), r"grippers\.gripper: speed must be"),
        (setter("grippers", "gripper", "force", [-1.0, 0.1]), r"grippers\.gripper: force must be"),
        (setter("action", "layout", 0, "tool_frame", MILLIMETRES), r"layout\.0\.tool_frame: .*in metres, at most 2"),
        (setter("action", "orthonormality", {"warn": 0.1, "reject": 0.05}), r"warn 0\.1 must not be above reject"),
        (setter("cameras", "front", "max_size", [0, 360]), r"cameras\.front\.max_size\.0: .*, got 0"),
        (setter("limits", "required_joints", ["joint1"]), r"limits\.required_joints \['joint1'\] are not among"),
        (setter("limits", "joints", {"panda_joint1": {"lower": 3.0}}), r"lower 3 is not below upper 2\.89"),
        (setter("fps", 10**400), r"fps: .*, got 10000.*\.\.\."),
        (setter("robot", "joints", 0, "joint1"), r"robot\.home lacks \['joint1'\]"),
        (setter("robot", "home", "panda_joint9", 0.0), r"robot\.home: the URDF has no joint 'panda_joint9'; it has p"),
        (setter("robot", "controllers", 0, "joints", ["joint1"]), r"robot\.controllers\[0\]\.joints \['joint1'\]"),
        (setter("robot", None), r"grippers\.gripper\.joint is given, so robot must be given"),
        (setter("action", "layout", 0, "pose", "panda_link9"), r"the URDF has no link 'panda_link9'; it has panda"),
        (setter("limits", "joints", {"panda_joint1": {"velocity": -1.0}}), r"limits\.joints\.panda_joint1\.velocity"),
        (setter("limits", "joints", {"joint1": {"velocity": 1.0}}), r"limits\.joints: the URDF has no joint 'joint1'"),
        (setter("limits", "joints", {"panda_joint1": {"lower": 1.0, "upper": 0.0}}), r"upper 0\.0 must be above"),
        (setter("limits", None), None),
    ],
)  # fmt: skip
def test_errors_name_file_field_and_what_is_allowed(tmp_path, change, words):
    path = write(tmp_path, change)
    if words is None:
        load_embodiment(path)
        return
    with pytest.raises(ConfigError, match=words) as error:
        load_embodiment(path)
    assert "mine.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("fps: 2001-99-99", "month must be in"),
        ("fps: !!int ten", "invalid literal for int"),
        ("fps: !!float ten", "could not convert"),
        (f"fps: {'9' * 5000}", "limit"),
    ],
)
def test_values_that_yaml_cannot_make_are_named(tmp_path, field, words):
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: franka.yaml\nname: mine\n{field}\n")
    with pytest.raises(ConfigError, match=rf"mine\.yaml: a value cannot be read: .*{words}"):
        load_embodiment(path)


def test_unknown_names_list_the_shipped_ones():
    with pytest.raises(ConfigError, match=r"no embodiment 'frank'; shipped are .*franka.*widowx250s"):
        load_embodiment("frank")
    with pytest.raises(ConfigError, match="no such embodiment file"):
        load_embodiment("somewhere/robot.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nname: b\n", r"mine\.yaml:2:1: key 'name' is given twice"),
        ("domain:\n  id: 8\n  name: x\n  id: 9\n", r"mine\.yaml:4:3: key 'id' is given twice"),
        ("a: &x [1]\nb: *x\n", r"mine\.yaml:2:4: aliases"),
        ("a: [1, 2\n", r"mine\.yaml:2:1: not valid YAML"),
        ("- 1\n- 2\n", r"expected a mapping of fields, got list"),
        ("", r"expected a mapping of fields, got NoneType"),
        ("a: !!python/object/apply:os.system [echo]\n", r"not valid YAML: could not determine a constructor"),
        ("a: " + "[" * 50 + "]" * 50 + "\n", r"nested deeper than 20 levels"),
        ("extends: 7\n", r"extends: expected a file name, got 7"),
        ("extends: nowhere.yaml\n", r"extends: no such file"),
        ("extends: mine.yaml\n", r"extends: goes round in a circle"),
    ],
)
def test_malformed_files_are_refused_with_their_place(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_spec(path)


def test_files_of_any_size_are_not_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("# " + "x" * (1 << 20))
    with pytest.raises(ConfigError, match="bytes, at most"):
        load_spec(path)


def test_extends_merges_field_by_field_and_null_removes(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "extends: franka.yaml\nname: mine\ndescription: Mine.\nfps: 5\n"
        "grippers: {gripper: {width: null, force: null, speed: null}}\n"
        "limits: {joints: {panda_joint1: {velocity: 0.5}}}\n"
    )
    mine, base = load_embodiment(path), embodiment("franka")
    assert mine.fps == 5.0
    assert mine.chunk_size == base.chunk_size
    assert mine.spec.grippers["gripper"].width is None
    assert mine.spec.grippers["gripper"].joint == "panda_finger_joint1"
    assert mine.limits.joints["panda_joint1"].velocity == 0.5
    assert mine.limits.joints["panda_joint1"].acceleration == 15.0
    assert mine.limits.joints["panda_joint2"] == base.limits.joints["panda_joint2"]
    assert mine.config_hash != base.config_hash


def test_config_hash_follows_what_matters(tmp_path):
    base = load_spec(write(tmp_path))
    assert load_spec(write(tmp_path)).config_hash == base.config_hash
    commented = write(tmp_path)
    commented.write_text("# a comment\n" + commented.read_text())
    assert load_spec(commented).config_hash == base.config_hash
    assert load_spec(write(tmp_path, setter("fps", 16))).config_hash != base.config_hash
    path = write(tmp_path)
    urdf = tmp_path / "panda.urdf"
    urdf.write_text(urdf.read_text().replace("0.333", "0.334"))
    assert load_spec(path).config_hash != base.config_hash


def test_another_urdf_replaces_the_shipped_one():
    text = (FOLDER / "urdf" / "panda.urdf").read_text().replace('xyz="0.0 0.0 0.333"', 'xyz="0.0 0.0 0.343"')
    moved, base = load_embodiment("franka", urdf=text), embodiment("franka")
    lift = moved.robot.fk(moved.home, "panda_link8") - base.robot.fk(base.home, "panda_link8")
    assert lift[2, 3] == pytest.approx(0.010)
    assert moved.config_hash != base.config_hash
    with pytest.raises(ConfigError, match=r"robot\.base_frame"):
        load_embodiment("franka", urdf=FOLDER / "urdf" / "ur5e.urdf")


def test_a_units_own_calibration_replaces_the_nominal_kinematics(tmp_path):
    """A UR's calibration moves the flange by what it says; here the whole arm by 2 mm upwards."""
    nominal = {
        "shoulder": [0, 0, 0.1625, 0, 0, 0], "upper_arm": [0, 0, 0, 1.570796327, 0, 0],
        "forearm": [-0.425, 0, 0, 0, 0, 0], "wrist_1": [-0.3922, 0, 0.1333, 0, 0, 0],
        "wrist_2": [0, -0.0997, 0, 1.570796327, 0, 0],
        "wrist_3": [0, 0.0996, 0, 1.570796326589793, 3.141592653589793, 3.141592653589793],
    }  # fmt: skip
    nominal["shoulder"][2] += 0.002
    axes = ("x", "y", "z", "roll", "pitch", "yaw")
    content = {"kinematics": {link: dict(zip(axes, values, strict=True)) for link, values in nominal.items()}}
    path = tmp_path / "calibration.yaml"
    path.write_text(yaml.safe_dump(content))
    calibrated, base = load_embodiment("ur5e", ur_calibration=path), embodiment("ur5e")
    lift = calibrated.robot.fk(base.home, "tool0") - base.robot.fk(base.home, "tool0")
    assert lift[:3, 3] == pytest.approx([0, 0, 0.002], abs=1e-6)
    assert calibrated.config_hash != base.config_hash
    with pytest.raises(ConfigError, match="umi has no robot to calibrate"):
        load_embodiment("umi", ur_calibration=path)


def paths_of(data, prefix=()):
    """Yield the path of every value of nested mappings and lists."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*prefix, key)
        yield from paths_of(value, (*prefix, key))


PLACES = list(paths_of(yaml.safe_load(BASE)))
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}),
    st.dictionaries(st.one_of(st.integers(), st.text(max_size=3)), st.integers(), max_size=2),
    st.lists(st.floats(), max_size=3), st.just("../../../etc/passwd"), st.just("panda_joint1"),
)  # fmt: skip


@given(place=st.sampled_from(PLACES), value=VALUES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_wrong_value_ends_in_a_config_error(tmp_path, place, value):
    def change(data):
        for key in place[:-1]:
            data = data[key]
        data[place[-1]] = value

    try:
        robot = load_embodiment(write(tmp_path, change))
    except ConfigError as error:
        assert "mine.yaml" in str(error)
    else:
        assert robot.name == "mine"
