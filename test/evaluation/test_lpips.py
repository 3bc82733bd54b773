"""LPIPS by a network of the user's: here a tiny one, whose answers are known."""

from __future__ import annotations

from pathlib import Path

import evaluation_bags as eb
import numpy as np
import pytest

from cosmos_ros.errors import ConfigError, ModelError
from cosmos_ros.evaluation.evaluate import evaluate
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
from cosmos_ros.evaluation.lpips import Lpips

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def write_network(path: Path, inputs: int = 2) -> Path:
    """The mean absolute difference of two pictures (or of one and itself)."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    names = ["in0", "in1"][:inputs]
    nodes = [
        helper.make_node("Sub", [names[0], names[-1]], ["d"]),
        helper.make_node("Abs", ["d"], ["a"]),
        helper.make_node("ReduceMean", ["a"], ["y"], axes=[1, 2, 3], keepdims=1),
    ]
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info(name, kind, [1, 3, "h", "w"]) for name in names],
        [helper.make_tensor_value_info("y", kind, [1, 1, 1, 1])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def test_distances_and_refusals(tmp_path: Path) -> None:
    path = write_network(tmp_path / "tiny.onnx")
    lpips = Lpips(path)
    a = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    b = np.roll(a, 1, axis=1)
    expected = np.abs(a.astype(float) - b).mean() * 2 / 255
    assert lpips.distance(a, b) == pytest.approx(expected, rel=1e-5) and lpips.distance(a, a) == 0.0
    assert Lpips(path, lpips.sha256.upper()).sha256 == lpips.sha256
    with pytest.raises(ConfigError, match="SHA-256"):
        Lpips(path, "0" * 64)
    with pytest.raises(ConfigError, match="cannot be read"):
        Lpips(tmp_path / "nowhere.onnx")
    (tmp_path / "rubbish.onnx").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Lpips(tmp_path / "rubbish.onnx")
    with pytest.raises(ModelError, match="1 inputs"):
        Lpips(write_network(tmp_path / "one.onnx", inputs=1))


def test_it_stands_in_the_figures_and_by_step(tmp_path: Path) -> None:
    bag = eb.write(tmp_path / "turning", steps=20)
    network = write_network(tmp_path / "tiny.onnx")
    options = EvaluationOptions(
        bags=(bag,), out=tmp_path / "out", world_model="persistence", cameras=eb.CAMERAS, baselines=(), annotate=False,
        lpips=network,
    )  # fmt: skip
    metrics = evaluate(options).metrics
    figures = metrics["predictors"]["model"]["figures"]
    by_step = metrics["predictors"]["model"]["by_step"]["policy.lpips"]
    assert len(by_step["mean"]) == 16 and min(by_step["mean"]) > 0.0
    assert figures["policy.frames.lpips"]["n"] == 2
    assert metrics["options"]["lpips"] == Lpips(network).sha256
    report = (tmp_path / "out" / "report.html").read_text()
    assert "LPIPS, policy" in report and "was not computed" not in report
