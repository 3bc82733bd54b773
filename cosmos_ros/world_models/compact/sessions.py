"""ONNX Runtime sessions of one robot's graphs; intermediate results stay on the device that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cosmos_ros.errors import ConfigError, ModelError

Array = npt.NDArray[np.generic]

# Written into each graph by the export.
OPSET_KEY = "cosmos_ros.opset"
_INSTALL = "Install it: pip install 'onnxruntime>=1.20', or onnxruntime-gpu for CUDA."


def import_runtime() -> Any:
    """Return the module onnxruntime; ConfigError when it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"onnxruntime cannot be imported: {error}", where="world_model compact", hint=_INSTALL
        ) from None
    return onnxruntime


def chosen_providers(asked: str, precision: str) -> list[str | tuple[str, dict[str, str]]]:
    """Return the execution providers for ``auto``, ``cpu`` or ``cuda``, best first.

    Raises:
        ConfigError: CUDA is asked for and the installed onnxruntime has none.
    """
    available = import_runtime().get_available_providers()
    has_cuda = "CUDAExecutionProvider" in available
    if asked == "cuda" and not has_cuda:
        raise ConfigError(
            f"providers=cuda, but this onnxruntime has {', '.join(available)}",
            where="world_model compact",
            hint="Install the extra `gpu` in place of onnxruntime: pip install onnxruntime-gpu.",
        )
    cuda = ("CUDAExecutionProvider", {"use_tf32": str(int(precision == "tf32"))})
    return [cuda, "CPUExecutionProvider"] if has_cuda and asked != "cpu" else ["CPUExecutionProvider"]


class Graph:
    """One graph.

    Args:
        path: Its file; shared weights lie beside it.
        providers: As :func:`chosen_providers` returns them.
        threads: Of the CPU provider; 0 leaves it to the runtime.
        opset: What it must be made of.

    Raises:
        ModelError: The file is no graph of this package's export, or this runtime cannot run it.
    """

    def __init__(
        self, path: Path, providers: Sequence[str | tuple[str, dict[str, str]]], threads: int, opset: int
    ) -> None:
        runtime = import_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin between calls would take the cores from the rest of the chain.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._where = str(path)
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=list(providers))
        except Exception as error:
            raise ModelError(
                f"onnxruntime {runtime.__version__} refuses it: {str(error)[:300]}",
                where=self._where,
                hint="Use a newer onnxruntime, or export the model again.",
            ) from error
        marked = self._session.get_modelmeta().custom_metadata_map.get(OPSET_KEY)
        if marked != str(opset):
            raise ModelError(
                f"its opset is said to be {marked or 'nothing'}, expected {opset}",
                where=self._where,
                hint="Give a graph that this package exported.",
            )
        self._runtime = runtime
        self.device = "cuda" if self._session.get_providers()[0].startswith("CUDA") else "cpu"
        self._types = {one.name: one.type for one in self._session.get_inputs()}
        self._outputs = [one.name for one in self._session.get_outputs()]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(self._types)

    def run(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return output name → OrtValue, on the session's device.

        Args:
            given: Input name → array, or an OrtValue of another graph.

        Raises:
            ModelError: The runtime failed; says what it said.
        """
        binding = self._session.io_binding()
        try:
            for name, value in given.items():
                if isinstance(value, np.ndarray):
                    binding.bind_cpu_input(name, np.ascontiguousarray(value))
                else:
                    binding.bind_ortvalue_input(name, value)
            for name in self._outputs:
                binding.bind_output(name, self.device)
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise ModelError(f"onnxruntime failed: {str(error)[:300]}", where=self._where) from error
        return dict(zip(self._outputs, binding.get_outputs(), strict=True))
