"""Files from outside that are damaged, hostile, or say of themselves what they are: one line, never a traceback."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from robots import droid_episode, embodiment, random_walk

from cosmos_ros.cli.main import main
from cosmos_ros.embodiment import StateColumns, read_action_file, read_actions, read_states
from cosmos_ros.errors import InputError

HOLD = [0, 0, 0, 1, 0, 0, 0, 1, 0, 1.0]


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return status, output.out, output.err


def npy_header(shape: str, dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def damaged(path: Path, kind: str) -> Path:
    """Write an npz that zipfile or numpy fail on, each in its own way."""
    if kind == "corrupt":
        np.savez_compressed(path, actions=np.random.default_rng(0).normal(size=(200, 10)))
        data = bytearray(path.read_bytes())
        data[200:400] = bytes(byte ^ 0x5A for byte in data[200:400])
        path.write_bytes(data)
        return path
    shape = {"huge": "(100000000000000, 10)", "overflow": "(10000000000000000000000, 10)", "odd": "'abc'"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("actions.npy", npy_header(shape.get(kind, "(1, 10)")))
    data = bytearray(path.read_bytes())
    directory = data.find(b"PK\x01\x02")
    if kind == "encrypted":
        data[6] |= 1
        data[directory + 8] |= 1
    elif kind == "method":
        data[8] = data[directory + 10] = 99
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["corrupt", "huge", "overflow", "odd", "short", "encrypted", "method"])
def test_damaged_npz_is_named(tmp_path, kind):
    with pytest.raises(InputError, match=r"a\.npz: not a readable npz file"):
        read_actions(damaged(tmp_path / "a.npz", kind))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["0"] * 10], "not rows of numbers: '0'"),
        ([[True] * 10], "not rows of numbers: True"),
        ([[0.5, None]], "not rows of numbers: None"),
        ([[0.5, {"a": 1}]], "not rows of numbers: {'a': 1}"),
        ([[0.5, 10**400]], "not rows of numbers: 1000"),
    ],
)
def test_what_is_no_number_does_not_become_one(tmp_path, rows, words):
    (tmp_path / "a.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match=words):
        read_actions(tmp_path / "a.json")


@pytest.mark.parametrize("dtype", ["complex128", "datetime64[s]", "U8", "bool"])
def test_arrays_of_another_kind_do_not_become_numbers(tmp_path, dtype):
    np.savez(tmp_path / "a.npz", actions=np.ones((3, 10)).astype(dtype))
    with pytest.raises(InputError, match="not rows of numbers: "):
        read_actions(tmp_path / "a.npz")


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", "uint8", ">f8"])
def test_every_real_number_type_is_read(tmp_path, dtype):
    np.savez(tmp_path / "a.npz", actions=np.ones((3, 10), dtype=dtype))
    rows = read_actions(tmp_path / "a.npz")
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows, np.ones((3, 10)))


def test_parquet_of_few_bytes_and_very_many_numbers(tmp_path):
    """Runs of one number take no room; columns that nobody asked for are not read at all."""
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    many = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(np.zeros(9_000_000, dtype=np.int8)), 4_500_000)
    path = tmp_path / "a.parquet"
    with parquet.ParquetWriter(path, pyarrow.schema([("actions", many.type), ("few", pyarrow.int64())])) as writer:
        for _ in range(2):
            writer.write_table(pyarrow.table({"actions": many, "few": [0, 1]}))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match=r"a\.parquet: column actions has 18000000 values, at most 16777216"):
        read_actions(path)
    with pytest.raises(InputError, match=r"expected \[T, D\] numbers, got shape \[4\]"):
        read_actions(path, "few")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grippers": {"gripper": 5}}, r"grippers\.gripper: expected an object with openings or widths, got int"),
        ({"grippers": {"gripper": None}}, r"expected an object with openings or widths, got NoneType"),
        ({"grippers": {"hand": {"openings": [1, 1]}}}, r"grippers\.hand: franka has no such gripper; it has gripper"),
        ({"grippers": {"gripper": {"openings": ["1", "1"]}}}, r"openings: not a list of numbers: '1'"),
        ({"joints": {"names": 5, "positions": [[0.0]]}}, r"joints\.names: expected a list of joint names"),
        ({"joints": {"names": "ab", "positions": [[0.0]]}}, r"joints\.names: expected a list of joint names"),
        ({"joints": {"names": ["a", "a"], "positions": [[0.0, 1.0]]}}, r"joints\.names: a stands twice"),
    ],
)
def test_malformed_states_are_named(tmp_path, change, words):
    tool = {"positions": [[0, 0, 0]] * 2, "quaternions_xyzw": [[0, 0, 0, 1.0]] * 2}
    content = {"tools": {"panda_link8": tool}, "grippers": {"gripper": {"openings": [1, 1]}}, **change}
    (tmp_path / "s.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"s\.json: .*{words}"):
        read_states(embodiment("franka"), tmp_path / "s.json")


def test_columns_are_not_for_json(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([HOLD]))
    with pytest.raises(InputError, match=r"a\.json: JSON has no column 'x'"):
        read_actions(tmp_path / "a.json", "x")
    with pytest.raises(InputError, match=r"a\.json: JSON has no columns"):
        read_states(embodiment("franka"), tmp_path / "a.json", StateColumns(joints="q"))


# What a file says of itself.


@pytest.fixture
def encoded_file(tmp_path, capsys):
    """Return a function that encodes a walk of the robot and gives the file."""
    robot = embodiment("franka")
    walk = random_walk(robot, 6, seed=3, metres=0.002, radians=0.005)
    states = tmp_path / "states.npz"
    from cosmos_ros.se3 import quaternion_xyzw_from_matrix

    poses = walk.tool_poses["panda_link8"]
    rows = np.hstack([poses[:, :3, 3], quaternion_xyzw_from_matrix(poses[:, :3, :3])])
    np.savez(states, pose=rows, grip=1.0 - walk.gripper_openings["gripper"])

    def write(*options: str) -> Path:
        out = tmp_path / f"actions{''.join(options)}.json"
        status, _, errors = run(
            capsys, "actions", "encode", "--embodiment", "franka", "--states", states, "--poses-column", "pose",
            "--gripper-column", "grip", "--json", out, *options,
        )  # fmt: skip
        assert (status, errors) == (0, "")
        return out

    return write


def test_decode_believes_what_the_file_says_of_its_scale(capsys, encoded_file):
    paths = []
    for option in ("--physical", "--normalised"):
        file = encoded_file(option)
        assert read_action_file(file).scale == option[2:]
        for asked in ((), (option,)):
            status, text, errors = run(capsys, "actions", "decode", "--embodiment", "franka", "--actions", file, *asked)
            assert (status, errors) == (0, "")
            paths.append(json.loads(text)["tools"]["panda_link8"]["positions"])
    np.testing.assert_allclose(paths[1:], [paths[0]] * 3, atol=1e-12)
    wrong = [encoded_file("--physical"), "--normalised"]
    status, _, errors = run(capsys, "actions", "decode", "--embodiment", "franka", "--actions", *wrong)
    assert status == 2
    assert "the file says that its numbers are physical, not normalised" in errors


def test_actions_of_another_domain_are_refused(capsys, encoded_file):
    file = encoded_file()
    for name, status in (("franka_fr3", 0), ("franka_robomind", 2), ("widowx250s", 2)):
        found, _, errors = run(capsys, "actions", "decode", "--embodiment", name, "--actions", file)
        assert found == status
        assert ("the actions are of domain droid_lerobot, not" in errors) == bool(status)


def test_predict_takes_no_physical_actions(capsys, tmp_path, encoded_file):
    cv2.imwrite(str(tmp_path / "canvas.png"), np.zeros((540, 640, 3), dtype=np.uint8))
    status, _, errors = run(
        capsys, "predict", "--world-model", "flow", "--embodiment", "franka", "--canvas", tmp_path / "canvas.png",
        "--actions", encoded_file("--physical"), "--out", tmp_path,
    )  # fmt: skip
    assert status == 2
    assert "the file says that its numbers are physical, not normalised" in errors


def test_recordings_at_another_rate_carry_a_warning(tmp_path):
    episode, columns = droid_episode()
    assert read_states(embodiment("franka"), episode, columns).findings == ()
    robot = embodiment("franka_robomind")
    found = robot.encode(read_states(robot, episode, columns)).findings[0]
    assert (found.level, found.code) == ("warning", "rate")
    assert "15 rows a second and franka_robomind 10: each action is 0.667 of the step" in found.message
    assert found.where.endswith("episode.parquet: timestamp")


def test_joint_space_answers_come_back(capsys, tmp_path):
    robot = embodiment("franka_joint")
    encoded = robot.encode(random_walk(robot, 5, seed=2))
    (tmp_path / "a.json").write_text(json.dumps(encoded.actions.tolist()))
    files = ["--embodiment", "franka_joint", "--actions", tmp_path / "a.json", "--json", tmp_path / "d.json"]
    assert run(capsys, "actions", "decode", *files)[0] == 0
    status, text, errors = run(
        capsys, "actions", "encode", "--embodiment", "franka_joint", "--states", tmp_path / "d.json"
    )
    assert (status, errors) == (0, "")
    # The command of row k moves the gripper at k; the last one of a chunk is known, the joints of all rows are.
    np.testing.assert_allclose(json.loads(text)["actions"], encoded.actions, atol=1e-12)


# Arguments.


@pytest.fixture
def hold(tmp_path):
    (tmp_path / "a.json").write_text("\ufeff" + json.dumps([HOLD] * 3))
    return ["--embodiment", "franka", "--physical", "--actions", tmp_path / "a.json"]


def test_numbers_may_begin_with_a_minus(capsys, hold):
    status, text, _ = run(capsys, "actions", "decode", *hold, "--start", "-0.3,0,.5")
    assert status == 0
    assert json.loads(text)["tools"]["panda_link8"]["positions"][-1] == [-0.3, 0.0, 0.5]
    status, _, _ = run(capsys, "actions", "decode", *hold, "--start-joints", "-.5,0,0,-2,0,1.5,0")
    assert status == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--start-joints", ""], "--start-joints: '' is not a list of numbers"),
        (["--start", "0,0,0", "--start", "panda_link8=1,1,1"], "--start: 'panda_link8' is given twice"),
        (["--start", "0,0,0", "--start-joints", ""], "give --start or --start-joints, not both"),
        (["--json", "{folder}"], "cannot be written: Is a directory"),
        (["--json", "{folder}/none/out.json"], "out.json: cannot be written: No such file or directory"),
        (["--ur-calibration", "{folder}/none.yaml"], "none.yaml: cannot read the calibration"),
    ],
)
def test_wrong_arguments_are_named(capsys, hold, tmp_path, options, words):
    options = [option.format(folder=tmp_path) for option in options]
    status, _, errors = run(capsys, "actions", "decode", *hold, *options)
    assert status == 2
    assert words in errors


def test_schema_to_nowhere(capsys, tmp_path):
    status, _, errors = run(capsys, "embodiments", "schema", "--out", tmp_path / "none" / "schema.json")
    assert status == 2
    assert "schema.json: cannot be written" in errors
