"""The compact world model behind the protocol: requests to the graphs' inputs, their outputs to rollouts."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.embodiment import load_embodiment, rigid_rows
from cosmos_ros.errors import CapabilityError, ConfigError, CosmosRosError, InputError, ModelError
from cosmos_ros.se3 import pose9d_from_matrix
from cosmos_ros.types import Float32Array, Mode, Request, Rollout, UInt8Array
from cosmos_ros.world_models.backends.compact import CompactOptions, capabilities
from cosmos_ros.world_models.compact.frames import predicted_canvases
from cosmos_ros.world_models.compact.manifest import PARTS, Manifest, check_files, read_manifest, shipped_folder
from cosmos_ros.world_models.compact.robot_inputs import RobotInputs
from cosmos_ros.world_models.compact.sessions import Graph, chosen_providers, import_runtime
from cosmos_ros.world_models.compact.words import MAX_WORDS
from cosmos_ros.world_models.protocol import check_request
from cosmos_ros.world_models.sampler_settings import check_settings

_WHERE = "world_model compact"


class Compact:
    """A small learned model of the package's own simulator: policy, forward and inverse dynamics.

    The uncertainty of a row is the scale of a Laplace distribution (mean absolute error expected) in normalised units;
    of forward dynamics, that of a pixel's error in units of half the range.

    Raises:
        ConfigError: The embodiment is not one of the shipped model's, and no other model is given.
    """

    name = "compact"

    def __init__(self, options: CompactOptions) -> None:
        self._options = options
        self.capabilities = capabilities(options)
        self._embodiment = load_embodiment(options.embodiment)
        self._graphs: dict[str, Graph] = {}
        self._manifest: Manifest | None = None
        self._robot: RobotInputs | None = None

    def load(self) -> None:
        """Check the files, make the sessions, and ask once.

        Raises:
            ConfigError: There is no model, it does not know the robot, or onnxruntime is missing.
            ModelError: A file is damaged or not one of this package's.
        """
        if self._graphs:
            return
        import_runtime()
        folder = self._folder()
        manifest = read_manifest(folder)
        robot = manifest.robots.get(self._embodiment.name)
        if robot is None:
            raise ConfigError(
                f"the model in {folder} is made for {', '.join(manifest.robots)}, not for {self._embodiment.name}",
                where=_WHERE,
            )
        self._check_robot(robot, folder)
        check_files(folder, manifest)
        providers = chosen_providers(self._options.providers, self._options.precision)
        parts = [part for part in PARTS if part != "frames" or self._options.frames]
        self._graphs = {
            part: Graph(
                folder / manifest.graphs[robot.embodiment][part], providers, self._options.threads, manifest.opset
            )
            for part in parts
        }
        self._manifest, self._robot = manifest, robot
        try:
            if self._options.providers == "cuda" and self._graphs["encode"].device != "cuda":
                raise ModelError(
                    "providers=cuda, but onnxruntime fell back to the CPU",
                    where=_WHERE,
                    hint="Check the driver, CUDA and cuDNN that this onnxruntime-gpu needs, or take providers=auto.",
                )
            if self._options.warm_up:
                self._warm_up(robot)
        except ModelError:
            self.close()
            raise

    def predict(self, request: Request) -> Rollout:
        """Answer one request.

        Raises:
            CapabilityError: The mode, domain or a setting is not supported.
            ModelError: The instruction names nothing known, something is not observed, or the runtime failed.
        """
        check_request(self, request)
        check_settings(_WHERE, request.settings, frozenset())
        self.load()
        assert self._robot is not None
        self._check_layout(request, self._robot)
        try:
            if request.mode is Mode.INVERSE_DYNAMICS:
                return self._read_motion(request, self._robot)
            return self._look_ahead(request, self._robot)
        except ModelError:
            raise
        except CosmosRosError as error:
            raise ModelError(error.message, where=f"{_WHERE}, {error.where}", hint=error.hint) from error

    def close(self) -> None:
        """Free the sessions; may be called twice."""
        self._graphs = {}

    # What is asked ----------------------------------------------------------------------------------------------

    def _look_ahead(self, request: Request, robot: RobotInputs) -> Rollout:
        """Answer policy and forward dynamics."""
        began = time.perf_counter()
        if request.image is None:
            raise InputError("the request carries no image", where="image")
        words, notes = self._words(request)
        seen = {f"picture_{i}": view.picture(request.image)[None] for i, view in enumerate(robot.views)}
        encoded = self._graphs["encode"].run({"state": self._state(request, robot), "words": words, **seen})
        read = time.perf_counter()
        latencies = {"encode": (read - began) * 1e3}
        actions: Float32Array | None = None
        uncertainty: Any = None
        rows = request.actions
        if request.mode is Mode.POLICY:
            actions, uncertainty = self._act(request, robot, encoded["memory_out"], request.committed, None)
            rows = actions
            latencies["act"] = (time.perf_counter() - read) * 1e3
        frames: UInt8Array | None = None
        if self._options.frames:
            if rows is None:
                raise InputError("forward dynamics needs actions", where="actions")
            started = time.perf_counter()
            frames, spread = self._frames(request.image, robot, encoded, np.asarray(rows, dtype=np.float32))
            uncertainty = spread if uncertainty is None else uncertainty
            latencies["frames"] = (time.perf_counter() - started) * 1e3
        return Rollout(
            frames=frames, actions=actions, uncertainty=uncertainty, provenance=self._provenance(request, notes),
            latencies_ms=latencies,
        )  # fmt: skip

    def _read_motion(self, request: Request, robot: RobotInputs) -> Rollout:
        """Answer inverse dynamics."""
        began = time.perf_counter()
        if request.video is None:
            raise InputError("inverse dynamics needs a video", where="video")
        views = [np.stack([view.picture(frame) for frame in request.video])[None] for view in robot.views]
        evidence = self._graphs["pairs"].run({f"video_{i}": view for i, view in enumerate(views)})["evidence_out"]
        paired = time.perf_counter()
        # The motion is read off the frames alone: neither the state nor the task may suggest it.
        encoded = self._graphs["encode"].run(
            {
                "state": np.zeros((1, robot.state_size), dtype=np.float32),
                "words": np.zeros((1, MAX_WORDS), dtype=np.int64),
                **{f"picture_{i}": view[:, 0] for i, view in enumerate(views)},
            }
        )
        actions, uncertainty = self._act(request, robot, encoded["memory_out"], None, evidence)
        return Rollout(
            frames=None, actions=actions, uncertainty=uncertainty, provenance=self._provenance(request, {}),
            latencies_ms={"pairs": (paired - began) * 1e3, "act": (time.perf_counter() - paired) * 1e3},
        )  # fmt: skip

    # Parts ------------------------------------------------------------------------------------------------------

    def _act(
        self, request: Request, robot: RobotInputs, memory: Any, committed: Float32Array | None, evidence: Any
    ) -> tuple[Float32Array, Any]:
        assert self._manifest is not None
        shape = (1, robot.chunk_size, robot.action_dim)
        noise = np.random.default_rng(request.seed).standard_normal(shape, dtype=np.float32)
        given, is_given = np.zeros(shape, dtype=np.float32), np.zeros(shape[:2], dtype=np.float32)
        known = 0 if committed is None else len(committed)
        if committed is not None:
            given[0, :known], is_given[0, :known] = committed, 1.0
        if evidence is None:
            evidence = np.zeros((*shape[:2], self._manifest.width), dtype=np.float32)
        found = self._graphs["act"].run(
            {"memory": memory, "noise": noise, "given": given, "is_given": is_given, "evidence": evidence}
        )
        rows = np.array(found["actions"].numpy()[0], dtype=np.float32)
        classes = found["classes"].numpy()[0]
        if not np.isfinite(rows).all():
            raise ModelError("its action rows are not finite", where=_WHERE)
        free = decided(rows[known:], classes[known:], robot)
        clamped = request.layout is None or request.layout.clamp
        normaliser = replace(self._embodiment.normaliser, clamped=clamped)
        rows[known:] = rigid_rows(free, self._embodiment.layout, normaliser)
        spread = np.exp(np.asarray(found["spread"].numpy()[0], dtype=np.float64))
        spread[:known] = 0.0
        return rows, spread

    def _frames(
        self, canvas: UInt8Array, robot: RobotInputs, encoded: dict[str, Any], rows: Float32Array
    ) -> tuple[UInt8Array, Any]:
        features = {f"features_{i}": encoded[f"features_out_{i}"] for i in range(len(robot.views))}
        found = self._graphs["frames"].run({"memory": encoded["memory_out"], "rows": rows[None], **features})
        fields = {view.name: found[f"fields_{i}"].numpy()[0] for i, view in enumerate(robot.views)}
        for name, values in fields.items():
            if not np.isfinite(values).all():
                raise ModelError("the frames' fields are not finite", where=f"{_WHERE}, view {name}")
        frames = predicted_canvases(canvas, robot.views, fields, self._options.frame_scale)
        return frames, np.exp(np.asarray(found["frame_spread"].numpy()[0], dtype=np.float64))

    def _words(self, request: Request) -> tuple[Any, dict[str, Any]]:
        """Return word numbers ``int64 [1, L]`` and notes for the provenance."""
        assert self._manifest is not None
        if request.mode is not Mode.POLICY and not request.instruction.strip():
            return np.zeros((1, MAX_WORDS), dtype=np.int64), {}
        try:
            numbers, unknown = self._manifest.vocabulary.encode(request.instruction)
        except InputError:
            if request.mode is Mode.POLICY:
                raise
            return np.zeros((1, MAX_WORDS), dtype=np.int64), {"instruction_ignored": True}
        return numbers[None], {"unknown_words": list(unknown)} if unknown else {}

    def _state(self, request: Request, robot: RobotInputs) -> Float32Array:
        """Return the normalised state vector ``float32 [1, S]``.

        Raises:
            InputError: Joints, tool poses or grippers are not observed.
        """
        observation, embodiment = request.observation, self._embodiment
        if observation is None:
            raise InputError("the request carries no observation", where="observation")
        if embodiment.has_joints and observation.joints is None:
            raise InputError("there is no joint state", where="joint_states")
        openings = embodiment.gripper_openings(observation)
        missing = [gripper for gripper in robot.grippers if gripper not in openings]
        if missing:
            raise InputError(f"grippers {missing} are not observed", where="observation")
        poses = embodiment.tool_poses(observation)
        positions = velocities = None
        if robot.joints and observation.joints is not None:
            state = observation.joints
            absent = [name for name in robot.joints if name not in state.names]
            if absent:
                raise InputError(f"joints {absent} are not observed", where="joint_states")
            columns = [state.names.index(name) for name in robot.joints]
            positions = state.positions[columns][None]
            velocities = None if state.velocities is None else state.velocities[columns][None]
        raw, known = robot.raw_state(
            tools=np.stack([pose9d_from_matrix(poses[link]) for link in robot.links])[None],
            openings=np.array([[openings[gripper] for gripper in robot.grippers]]),
            commands=None if request.commanded is None else request.commanded[None],
            positions=positions,
            velocities=velocities,
            past=None if request.past_action is None else request.past_action[None],
        )
        vector = robot.state(raw, known)
        if not np.isfinite(vector).all():
            raise InputError("the observed state is not finite", where="joint_states")
        return vector

    def _warm_up(self, robot: RobotInputs) -> None:
        pictures = {f"picture_{i}": np.zeros((1, v.height, v.width, 3), np.uint8) for i, v in enumerate(robot.views)}
        state, words = np.zeros((1, robot.state_size), np.float32), np.zeros((1, MAX_WORDS), np.int64)
        encoded = self._graphs["encode"].run({"state": state, "words": words, **pictures})
        request = Request(Mode.POLICY, robot.domain, 0, robot.fps, robot.chunk_size, robot.action_dim)
        rows, _ = self._act(request, robot, encoded["memory_out"], None, None)
        if "frames" in self._graphs:
            features = {f"features_{i}": encoded[f"features_out_{i}"] for i in range(len(robot.views))}
            self._graphs["frames"].run({"memory": encoded["memory_out"], "rows": rows[None], **features})

    # Checks -----------------------------------------------------------------------------------------------------

    def _folder(self) -> Path:
        if self._options.model:
            folder = Path(self._options.model).expanduser()
            if not folder.is_dir():
                raise ConfigError(
                    "is no folder", where=f"{_WHERE}, model {folder}", hint="Give an exported model's folder."
                )
            return folder
        return shipped_folder()

    def _check_robot(self, robot: RobotInputs, folder: Path) -> None:
        """Refuse a model whose robot is not what the embodiment's file says today."""
        embodiment = self._embodiment
        same = {
            "domain": robot.domain == embodiment.domain_name,
            "chunk size": robot.chunk_size == embodiment.chunk_size,
            "rate": abs(robot.fps - embodiment.fps) < 1e-6,
            "views": tuple(v.name for v in robot.views) == tuple(embodiment.views),
            "action statistics": robot.action_dim == embodiment.action_dim
            and np.allclose(robot.scale, embodiment.normaliser.scale)
            and np.allclose(robot.offset, embodiment.normaliser.offset),
        }
        wrong = [name for name, fits in same.items() if not fits]
        if wrong:
            raise ConfigError(
                f"the model was trained with another {', '.join(wrong)} than embodiment {embodiment.name} has",
                where=f"{_WHERE}, {folder}",
                hint="Use the embodiment's file of the version that the model was trained with, or train it again.",
            )

    def _check_layout(self, request: Request, robot: RobotInputs) -> None:
        layout = request.layout
        if request.action_dim != robot.action_dim or (
            layout is not None
            and not (np.allclose(layout.scale, robot.scale) and np.allclose(layout.offset, robot.offset))
        ):
            raise CapabilityError(
                "the request's action rows are normalised by other statistics than the model's", where=_WHERE
            )

    def _provenance(self, request: Request, notes: dict[str, Any]) -> dict[str, Any]:
        assert self._manifest is not None
        committed = 0 if request.committed is None else len(request.committed)
        return {
            "backend": self.name,
            "revision": self._manifest.revision,
            "note": "learned from the package's own simulator; knows nothing else",
            "device": self._graphs["encode"].device,
            "engine": f"onnxruntime {import_runtime().__version__}",
            "seed": request.seed,
            "committed_rows": committed,
            **notes,
        }


def decided(rows: Float32Array, classes: Float32Array, robot: RobotInputs) -> Float32Array:
    """Return rows whose grippers' openings are moved into their likeliest classes.

    Args:
        rows: ``[T, D]`` normalised.
        classes: ``[T, G, C]`` probabilities of equal parts of the normalised range, -1 to 1.
        robot: Whose.
    """
    result = rows.copy()
    count = classes.shape[-1]
    likeliest = classes.argmax(axis=-1)
    for index, column in enumerate(robot.gripper_columns):
        low = 2.0 * likeliest[:, index] / count - 1.0
        result[:, column] = np.clip(rows[:, column], low, low + 2.0 / count)
    return result
