"""The commands, and the files they read and write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from robots import NAMES, embodiment, random_walk, sample

from cosmos_ros.cli.main import main
from cosmos_ros.embodiment import (
    StateColumns,
    chunk_to_dict,
    parse_pose,
    read_actions,
    read_states,
    recorded_openings,
    schema_text,
)
from cosmos_ros.errors import InputError
from cosmos_ros.se3 import pose_error

ROWS = [[0.1 * i + 0.01 * j for j in range(10)] for i in range(3)]


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return status, output.out, output.err


# cosmos-ros embodiments


def test_list_names_every_embodiment(capsys):
    status, text, _ = run(capsys, "embodiments", "list")
    assert status == 0
    assert [line.split()[0] for line in text.splitlines()] == NAMES


def test_validate_says_what_is_wrong_and_returns_1(capsys, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("extends: franka.yaml\nname: bad\nfps: fast\n")
    status, text, _ = run(capsys, "embodiments", "validate", "franka", bad, "nothing")
    lines = text.splitlines()
    assert status == 1
    assert lines[0].startswith("valid: ")
    assert lines[1].startswith(f"wrong: {bad}: fps: ")
    assert "there is no embodiment 'nothing'" in lines[2]
    assert run(capsys, "embodiments", "validate", "umi")[0] == 0


@pytest.mark.parametrize("name", NAMES)
def test_show_names_columns_frames_and_limits(capsys, name):
    status, text, _ = run(capsys, "embodiments", "show", name)
    robot = embodiment(name)
    assert status == 0
    for word in (*robot.layout.names, *robot.all_joints, *robot.views, robot.domain_name, robot.config_hash):
        assert word in text
    for limit in robot.limits.joints.values():
        assert limit.source in text


def test_show_as_json_is_the_resolved_file(capsys):
    content = json.loads(run(capsys, "embodiments", "show", "franka_fr3", "--json")[1])
    assert content["robot"]["joints"][0] == "fr3_joint1"
    assert content["chunk_size"] == 16
    assert "panda_joint1" not in content["limits"]["joints"]


def test_schema_is_printed_or_written(capsys, tmp_path):
    assert run(capsys, "embodiments", "schema")[1] == schema_text()
    run(capsys, "embodiments", "schema", "--out", tmp_path / "schema.json")
    assert (tmp_path / "schema.json").read_text() == schema_text()


def test_unknown_embodiment_ends_in_one_line_and_status_2(capsys):
    status, _, errors = run(capsys, "embodiments", "show", "nothing")
    assert status == 2
    assert len(errors.splitlines()) == 1
    assert "shipped are" in errors


# Files of actions


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        {"action": {"data": ROWS, "shape": [3, 10]}},
        {"action": ROWS},
        {"actions": ROWS},
        {"actions": {"data": ROWS}},
        {"outputs": [{"content": {"action": ROWS}}]},
        {"data": [{"action": {"values": ROWS}}]},
        [ROWS],
    ],
)
def test_json_forms_of_actions(tmp_path, content):
    path = tmp_path / "actions.json"
    path.write_text(json.dumps(content))
    np.testing.assert_array_equal(read_actions(path), ROWS)


def test_npz_and_parquet_forms_of_actions(tmp_path):
    np.savez(tmp_path / "a.npz", actions=np.array(ROWS), other=np.zeros(3))
    np.savez(tmp_path / "b.npz", anything=np.array(ROWS))
    np.testing.assert_array_equal(read_actions(tmp_path / "a.npz"), ROWS)
    np.testing.assert_array_equal(read_actions(tmp_path / "b.npz"), ROWS)
    np.testing.assert_array_equal(read_actions(tmp_path / "b.npz", "anything"), ROWS)
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    parquet.write_table(pyarrow.table({"action": ROWS, "t": [0, 1, 2]}), tmp_path / "a.parquet")
    np.testing.assert_array_equal(read_actions(tmp_path / "a.parquet"), ROWS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", r"actions\.json: not valid JSON"),
        ('{"result": [[1]]}', r"no action rows found in \['result'\]"),
        ("7", r"no action rows found in int"),
        ("[[1, 2], [3]]", r"row 1 has 1 numbers, row 0 has 2"),
        ('[["a", "b"]]', r"not rows of numbers"),
        ("[]", r"expected \[T, D\] numbers, got shape \[0\]"),
        ("[1, 2]", r"expected \[T, D\] numbers, got shape \[2\]"),
    ],
)
def test_malformed_action_files_are_named(tmp_path, content, words):
    path = tmp_path / "actions.json"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        read_actions(path)


def test_files_that_are_something_else_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: cannot be read"):
        read_actions(tmp_path / "none.json")
    (tmp_path / "a.txt").write_text("1 2 3")
    with pytest.raises(InputError, match=r"unknown ending '\.txt'; readable are \.json, \.npz, \.parquet"):
        read_actions(tmp_path / "a.txt")
    (tmp_path / "a.npz").write_bytes(b"not a zip")
    with pytest.raises(InputError, match="not a readable npz file"):
        read_actions(tmp_path / "a.npz")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / "a.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match="not a readable parquet file"):
        read_actions(tmp_path / "a.parquet")


class Unpickled:
    def __reduce__(self):
        return (Path.touch, (Path("unpickled"),))


def test_pickles_in_npz_are_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "a.npz", actions=np.array([Unpickled()], dtype=object))
    with pytest.raises(InputError, match="not a readable npz file"):
        read_actions(tmp_path / "a.npz")
    assert not (tmp_path / "unpickled").exists()


# cosmos-ros actions


@pytest.mark.parametrize("name", ["franka", "franka_dual", "agibot_g1", "umi", "av"])
def test_decode_then_encode_gives_the_same_actions(capsys, tmp_path, name):
    robot = embodiment(name)
    states = random_walk(robot, 12, seed=4, metres=0.002, radians=0.005)
    encoded = robot.encode(states)
    actions, decoded, again = (tmp_path / f"{part}.json" for part in ("actions", "decoded", "again"))
    actions.write_text(json.dumps({"actions": encoded.unclamped.tolist()}))
    start = []
    for link, pose in encoded.start_poses.items():
        from cosmos_ros.se3 import quaternion_xyzw_from_matrix

        numbers = [*pose[:3, 3], *quaternion_xyzw_from_matrix(pose[:3, :3])]
        start += ["--start", f"{link}=" + ",".join(repr(float(v)) for v in numbers)]
    status, text, _ = run(
        capsys, "actions", "decode", "--embodiment", name, "--actions", actions, "--json", decoded, *start
    )
    assert (status, text) == (0, "")
    content = json.loads(decoded.read_text())
    assert content["times"][0] == 0.0
    assert len(content["times"]) == 13
    for link, tool in content["tools"].items():
        quaternions = np.array(tool["quaternions_xyzw"])
        np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1.0, atol=1e-12)
        np.testing.assert_allclose(tool["positions"], states.tool_poses[link][:, :3, 3], atol=1e-9)
    status, _, _ = run(
        capsys, "actions", "encode", "--physical", "--embodiment", name, "--states", decoded, "--json", again
    )
    assert status == 0
    np.testing.assert_allclose(json.loads(again.read_text())["actions"], encoded.physical, atol=1e-9)


def test_decode_prints_findings_and_json(capsys, tmp_path):
    robot = embodiment("franka")
    encoded = robot.encode(random_walk(robot, 8, seed=1, metres=0.002, radians=0.008))
    np.savez(tmp_path / "actions.npz", actions=encoded.physical)
    status, text, errors = run(
        capsys, "actions", "decode", "--embodiment", "franka", "--actions", tmp_path / "actions.npz"
    )
    content = json.loads(text)
    assert status == 0
    assert "not normalised at all" in errors
    assert content["findings"][0]["code"] == "normalisation"
    home = robot.robot.fk(robot.home, "panda_link8")
    np.testing.assert_allclose(content["tools"]["panda_link8"]["positions"][0], home[:3, 3], atol=1e-12)
    status, text, errors = run(
        capsys, "actions", "decode", "--physical", "--embodiment", "franka", "--actions", tmp_path / "actions.npz"
    )
    assert (status, errors) == (0, "")
    assert json.loads(text)["findings"] == []


def test_joint_space_rows_are_decoded_to_joints(capsys, tmp_path):
    robot = embodiment("franka")
    rows = [[*(robot.home[name] for name in robot.joint_names), 0.5]] * 4
    (tmp_path / "actions.json").write_text(json.dumps(rows))
    _, text, _ = run(
        capsys, "actions", "decode", "--joint-space", "--embodiment", "franka", "--actions", tmp_path / "actions.json"
    )
    content = json.loads(text)
    assert content["joints"]["names"] == list(robot.joint_names)
    assert content["joints"]["positions"] == [row[:7] for row in rows]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--start", "1,2"], "expected 3 or 7 finite numbers"),
        (["--start", "0,0,0,0,0,0,0.9"], "--start panda_link8: .*norm"),
        (["--start", "elbow=0,0,0"], "'elbow' is not one of panda_link8"),
        (["--start-joints", "0,0,0"], "3 numbers for 7 joints"),
        (["--start-joints", "0,-45,0,-2,0,1.5,0.7"], "panda_joint2 is at -45.*degrees"),
        (["--start", "0,0,0", "--start-joints", "0"], "not both"),
    ],
)
def test_wrong_start_poses_are_named(capsys, tmp_path, options, words):
    (tmp_path / "actions.json").write_text(json.dumps(ROWS))
    status, _, errors = run(
        capsys, "actions", "decode", "--embodiment", "franka", "--actions", tmp_path / "actions.json", *options
    )
    assert status == 2
    import re

    assert re.search(words, errors), errors


def test_quaternion_of_norm_0_9_is_refused_in_states_too(tmp_path):
    tool = {"positions": [[0, 0, 0]] * 2, "quaternions_xyzw": [[0, 0, 0, 1.0], [0, 0, 0, 0.9]]}
    path = tmp_path / "states.json"
    path.write_text(json.dumps({"tools": {"panda_link8": tool}, "grippers": {"gripper": {"openings": [1, 1]}}}))
    with pytest.raises(InputError, match=r"states\.json: tools\.panda_link8: quaternions: .*0\.9"):
        read_states(embodiment("franka"), path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "neither tools nor joints are given"),
        ({"tools": []}, "neither tools"),
        ({"tools": {"panda_link8": {"positions": [[0, 0, 0]]}}}, r"tools\.panda_link8: quaternions_xyzw is missing"),
        (
            {"tools": {"panda_link8": {"positions": [[0, 0]], "quaternions_xyzw": [[0, 0, 0, 1]]}}},
            r"\[N, 3\] positions",
        ),
        ({"joints": {"names": ["panda_joint1"]}}, "positions is missing; there are names"),
        ({"joints": {"names": ["a"], "positions": [[0]]}, "grippers": {"gripper": {}}}, "widths is missing"),
    ],
)
def test_malformed_state_files_are_named(tmp_path, content, words):
    path = tmp_path / "states.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=words):
        read_states(embodiment("franka"), path)


def test_tables_are_read_by_the_named_columns(tmp_path):
    robot = embodiment("agibot_g1")
    positions = np.tile([robot.home[name] for name in robot.joint_names], (3, 1))
    np.savez(tmp_path / "s.npz", q=positions, left=[0.0, 60.0, 120.0], right=[120.0, 120.0, 0.0])
    columns = StateColumns(joints="q", grippers={"left_gripper": "left", "right_gripper": "right"})
    states = read_states(robot, tmp_path / "s.npz", columns)
    np.testing.assert_allclose(states.gripper_openings["left_gripper"], [1.0, 0.5, 0.0])
    np.testing.assert_allclose(states.gripper_openings["right_gripper"], [0.0, 0.0, 1.0])
    assert robot.encode(states).physical.shape == (2, 29)
    with pytest.raises(InputError, match=r"qq is missing; there are left, q, right"):
        read_states(robot, tmp_path / "s.npz", StateColumns(joints="qq"))
    with pytest.raises(InputError, match="a pose column is for one tool"):
        read_states(robot, tmp_path / "s.npz", StateColumns(poses="q"))
    with pytest.raises(InputError, match="no gripper hand"):
        recorded_openings(robot, "hand", np.zeros(2))


def test_pose_formats_of_tables(tmp_path):
    robot = embodiment("umi")
    quaternion = np.array([0.1, -0.2, 0.3, 0.9])
    quaternion /= np.linalg.norm(quaternion)
    xyzw = np.tile([0.1, 0.2, 0.3, *quaternion], (2, 1))
    wxyz = xyzw[:, [0, 1, 2, 6, 3, 4, 5]]
    np.savez(tmp_path / "s.npz", xyzw=xyzw, wxyz=wxyz, width=[0.02, 0.03])
    expected = parse_pose(",".join(map(repr, xyzw[0].tolist())), "test")
    for column, form in (("xyzw", "xyz_quaternion_xyzw"), ("wxyz", "xyz_quaternion_wxyz")):
        states = read_states(robot, tmp_path / "s.npz", StateColumns(column, form, grippers={"gripper": "width"}))
        assert max(pose_error(states.tool_poses["camera"][0], expected)) < 1e-12
        np.testing.assert_allclose(states.gripper_openings["gripper"] * 0.11, [0.02, 0.03])
    with pytest.raises(InputError, match="xyz_euler needs 6 numbers a row, got 7"):
        read_states(robot, tmp_path / "s.npz", StateColumns("xyzw", "xyz_euler"))


def test_droid_episode_from_the_command_line(capsys, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    episode = sample("COSMOS_ROS_DROID", "droid") / "episode.parquet"
    status, _, errors = run(
        capsys, "actions", "encode", "--embodiment", "franka", "--states", episode,
        "--poses-column", "observation.state.cartesian_position", "--poses-format", "xyz_euler",
        "--gripper-column", "action.gripper_position", "--json", tmp_path / "out.json",
    )  # fmt: skip
    content = json.loads((tmp_path / "out.json").read_text())
    assert status == 0
    assert "1.18% of the numbers were clamped" in errors
    assert np.shape(content["actions"]) == (721, 10)
    assert content["scale"] == "normalised"


def test_chunk_as_data_is_plain_json():
    robot = embodiment("agibot_g1")
    encoded = robot.encode(random_walk(robot, 4, seed=0))
    content = chunk_to_dict(robot, robot.decode_actions(encoded.unclamped, encoded.start_poses))
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert set(content["tools"]) == set(robot.tool_links)
    assert set(content["grippers"]) == {"left_gripper", "right_gripper"}
