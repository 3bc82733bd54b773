"""Exports a trained network: ONNX graphs that share one file of half-precision weights, checked, hashed, described.

The network's weights are rounded to half precision first, and the graphs turn them to float32 when they are loaded, so
what runs is exactly what was checked. Weights that several graphs use are stored once.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from cosmos_ros.world_models.compact.manifest import FILE_NAME, OPSET, Manifest, hash_of
from cosmos_ros.world_models.compact.sessions import OPSET_KEY, Graph
from cosmos_ros.world_models.compact.words import Vocabulary
from training.graphs import Graph as Part
from training.graphs import graphs
from training.model import OPENING_CLASSES, CompactNet

WEIGHTS = "weights.bin"
# Largest difference between torch and ONNX Runtime, relative to the largest number of an output.
TOLERANCE = 2e-4
# All files together, bytes.
LARGEST_MODEL = 16_000_000
_CHECKS = 3
# Smaller tensors stay in the graph.
_SMALL = 64
_ALIGNMENT = 64


@dataclass
class _Store:
    """Tensors by content: each is written once, and found by its offset."""

    content: bytearray
    offsets: dict[bytes, int]

    def put(self, values: np.ndarray) -> int:
        key = _key(values)
        if key not in self.offsets:
            self.content.extend(b"\0" * (-len(self.content) % _ALIGNMENT))
            self.offsets[key] = len(self.content)
            self.content.extend(values.tobytes())
        return self.offsets[key]


def _key(values: np.ndarray) -> bytes:
    return hashlib.sha256(repr((values.shape, values.dtype.str)).encode() + values.tobytes()).digest()


def export(
    net: CompactNet, vocabulary: Vocabulary, folder: Path, trained: Mapping[str, Any]
) -> tuple[Manifest, dict[str, float]]:
    """Write the model's folder; return its manifest and graph → relative difference to torch.

    Args:
        net: With the weights to be exported, on the CPU; they are rounded in place.
        vocabulary: It was trained with.
        folder: Made anew.
        trained: Facts about the training.

    Raises:
        ValueError: A graph answers otherwise than torch, or the model is too large.
    """
    net.eval()
    net.half().float()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = _Store(bytearray(), {})
    names: dict[str, dict[str, str]] = {}
    parts = {robot: graphs(net, robot) for robot in net.inputs}
    for robot, some in parts.items():
        names[robot] = {}
        for part in some:
            names[robot][part.name] = f"{robot}_{part.name}.onnx"
            onnx.save_model(_shared(_exported(part), store), str(folder / names[robot][part.name]))
    (folder / WEIGHTS).write_bytes(bytes(store.content))
    differences = {
        f"{robot}_{name}": difference
        for robot in net.inputs
        for name, difference in _differences(net, robot, folder, names[robot]).items()
    }
    wrong = {name: value for name, value in differences.items() if not value <= TOLERANCE}
    if wrong:
        raise ValueError(f"the graphs answer otherwise than torch, relatively by {wrong}")
    files = {path.name: hash_of(path) for path in sorted(folder.iterdir())}
    size = sum(file.bytes for file in files.values())
    if size > LARGEST_MODEL:
        raise ValueError(f"the model has {size} bytes in all, at most {LARGEST_MODEL} are allowed")
    manifest = Manifest(
        robots=net.inputs, graphs=names, files=files, vocabulary=vocabulary, width=net.sizes.width,
        opening_classes=OPENING_CLASSES, opset=OPSET, trained=trained,
    )  # fmt: skip
    (folder / FILE_NAME).write_text(manifest.to_json() + "\n", encoding="utf-8")
    return manifest, differences


def _exported(part: Part) -> onnx.ModelProto:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            part.module.eval(),
            tuple(part.inputs.values()),
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    found = {one.domain: one.version for one in model.opset_import}
    if found.get("") != OPSET:
        raise ValueError(f"{part.name} was exported with opset {found}, wanted {OPSET}")
    return model


def _shared(model: onnx.ModelProto, store: _Store) -> onnx.ModelProto:
    """Move a graph's larger tensors to the store; those that half precision holds exactly, as such."""
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.size < _SMALL or values.dtype != np.float32:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        exact = np.array_equal(half.astype(np.float32), values)
        name, kept = tensor.name, half if exact else values
        # A matrix that one graph uses as it is may be there for another one already, the other way round.
        turned = kept.ndim == 2 and _key(kept) not in store.offsets and _key(kept.T.copy()) in store.offsets
        kept = kept.T.copy() if turned else kept
        offset = store.put(kept)
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        del tensor.external_data[:]
        for key, value in (("location", WEIGHTS), ("offset", str(offset)), ("length", str(kept.nbytes))):
            tensor.external_data.add(key=key, value=value)
        del tensor.dims[:]
        tensor.dims.extend(kept.shape)
        before = f"{name}.turned" if turned else name
        if exact:
            tensor.data_type = TensorProto.FLOAT16
            tensor.name = f"{name}.half"
            casts.append(helper.make_node("Cast", [tensor.name], [before], name=f"{name}.whole", to=TensorProto.FLOAT))
        elif turned:
            tensor.name = before
        if turned:
            casts.append(helper.make_node("Transpose", [before], [name], name=f"{name}.turn", perm=[1, 0]))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    # Shapes and origins that the exporter noted are of no use to a runtime, and name files of this machine.
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    model.graph.doc_string = model.doc_string = ""
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    model.metadata_props.add(key=OPSET_KEY, value=str(OPSET))
    return model


@torch.no_grad()
def _differences(net: CompactNet, robot: str, folder: Path, names: Mapping[str, str]) -> dict[str, float]:
    """Return part → largest difference over random inputs, relative to the largest number of the output."""
    result: dict[str, float] = {}
    for seed in range(1, 1 + _CHECKS):
        for part in graphs(net, robot, seed):
            session = Graph(folder / names[part.name], ["CPUExecutionProvider"], 0, OPSET)
            found = session.run({name: value.numpy() for name, value in part.inputs.items()})
            truth = part.module(*part.inputs.values())
            for name, right in zip(part.outputs, truth if isinstance(truth, tuple) else (truth,), strict=True):
                largest = float(right.abs().max().clamp(min=1e-6))
                off = float(np.abs(found[name].numpy() - right.numpy()).max()) / largest
                result[part.name] = max(result.get(part.name, 0.0), off)
    return result
