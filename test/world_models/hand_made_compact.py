"""A compact model made by hand, of graphs whose answers are known: no training, no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save_model

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.world_models.compact.manifest import FILE_NAME, OPSET, Manifest, hash_of
from cosmos_ros.world_models.compact.robot_inputs import RobotInputs, robot_inputs
from cosmos_ros.world_models.compact.sessions import OPSET_KEY
from cosmos_ros.world_models.compact.words import MAX_WORDS, default_vocabulary

WIDTH = 4
SHIFT = 0.25  # of half a view, to the right: every pixel is looked up there
OPEN_CLASS = 15
FLOAT, BYTES, WORDS = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64


def inputs_of(name: str, size: tuple[int, int] = (32, 24)) -> RobotInputs:
    embodiment = load_embodiment(name)
    robot = robot_inputs(embodiment, dict.fromkeys(embodiment.views, size))
    return replace(robot, mean=(0.0,) * robot.state_size, std=(1.0,) * robot.state_size)


def write_model(folder: Path, name: str = "franka", *, spread: float = -2.0, marked: bool = True) -> Manifest:
    """Write a model whose policy answers 0.01 times the noise, gripper open, and whose frames move by ``SHIFT``."""
    folder.mkdir(parents=True, exist_ok=True)
    robot = inputs_of(name)
    steps, columns, views = robot.chunk_size, robot.action_dim, range(len(robot.views))

    def value(tag: str, kind: int, *shape: int):
        return helper.make_tensor_value_info(tag, kind, shape)

    def constant(tag: str, array: np.ndarray):
        return numpy_helper.from_array(np.asarray(array, dtype=np.float32), tag)

    def save(part: str, nodes, inputs, outputs, constants=()) -> None:
        graph = helper.make_graph(nodes, part, inputs, outputs, list(constants))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        if marked:
            helper.set_model_props(model, {OPSET_KEY: str(OPSET)})
        checker.check_model(model)
        save_model(model, str(folder / f"{name}_{part}.onnx"))

    pictures = [value(f"picture_{i}", BYTES, 1, v.height, v.width, 3) for i, v in enumerate(robot.views)]
    features = [f"features_out_{i}" for i in views]
    save(
        "encode",
        [
            helper.make_node("ReduceSum", ["state"], ["total"], keepdims=1),
            helper.make_node("Mul", ["ones", "total"], ["memory_out"]),
            *(helper.make_node("Cast", [f"picture_{i}"], [features[i]], to=FLOAT) for i in views),
        ],
        [value("state", FLOAT, 1, robot.state_size), value("words", WORDS, 1, MAX_WORDS), *pictures],
        [value("memory_out", FLOAT, 1, 1, WIDTH)]
        + [value(features[i], FLOAT, 1, v.height, v.width, 3) for i, v in enumerate(robot.views)],
        [constant("ones", np.ones((1, 1, WIDTH)))],
    )
    classes = np.zeros((1, steps, len(robot.grippers), 16))
    classes[..., OPEN_CLASS] = 1.0
    save(
        "act",
        [
            helper.make_node("Unsqueeze", ["is_given", "last"], ["keep"]),
            helper.make_node("Mul", ["given", "keep"], ["kept"]),
            helper.make_node("Sub", ["one", "keep"], ["free"]),
            helper.make_node("Mul", ["noise", "hundredth"], ["small"]),
            helper.make_node("Mul", ["small", "free"], ["made"]),
            helper.make_node("Add", ["kept", "made"], ["actions"]),
            helper.make_node("Mul", ["is_given", "nothing"], ["zeros"]),
            helper.make_node("Add", ["zeros", "level"], ["spread"]),
            helper.make_node("Identity", ["certain"], ["classes"]),
        ],
        [
            value("memory", FLOAT, 1, 1, WIDTH),
            value("noise", FLOAT, 1, steps, columns),
            value("given", FLOAT, 1, steps, columns),
            value("is_given", FLOAT, 1, steps),
            value("evidence", FLOAT, 1, steps, WIDTH),
        ],
        [
            value("actions", FLOAT, 1, steps, columns),
            value("spread", FLOAT, 1, steps),
            value("classes", FLOAT, 1, steps, len(robot.grippers), 16),
        ],
        [
            numpy_helper.from_array(np.array([2]), "last"),
            constant("one", np.ones(1)),
            constant("hundredth", np.array([0.01])),
            constant("nothing", np.zeros(1)),
            constant("level", np.array([spread])),
            constant("certain", classes),
        ],
    )
    fields = np.zeros((1, steps, 6, 6, 8))
    fields[:, :, 0] = SHIFT
    save(
        "frames",
        [
            helper.make_node("ReduceMean", ["rows", "columns"], ["frame_spread"], keepdims=0),
            *(helper.make_node("Identity", ["moved"], [f"fields_{i}"]) for i in views),
        ],
        [value("memory", FLOAT, 1, 1, WIDTH), value("rows", FLOAT, 1, steps, columns)]
        + [value(f"features_{i}", FLOAT, 1, v.height, v.width, 3) for i, v in enumerate(robot.views)],
        [value("frame_spread", FLOAT, 1, steps), *(value(f"fields_{i}", FLOAT, *fields.shape) for i in views)],
        [numpy_helper.from_array(np.array([2]), "columns"), constant("moved", fields)],
    )
    save(
        "pairs",
        [helper.make_node("Identity", ["none"], ["evidence_out"])],
        [value(f"video_{i}", BYTES, 1, steps + 1, v.height, v.width, 3) for i, v in enumerate(robot.views)],
        [value("evidence_out", FLOAT, 1, steps, WIDTH)],
        [constant("none", np.zeros((1, steps, WIDTH)))],
    )
    manifest = Manifest(
        robots={name: robot},
        graphs={name: {part: f"{name}_{part}.onnx" for part in ("encode", "act", "frames", "pairs")}},
        files={path.name: hash_of(path) for path in folder.glob("*.onnx")},
        vocabulary=default_vocabulary(),
        width=WIDTH,
        opening_classes=16,
    )
    (folder / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return manifest
