"""Cosmos3 behind NVIDIA NIM: one synchronous, strictly typed ``POST /v1/infer``.

The container's ``NIM_MODEL_VARIANT`` decides what is served. The general model answers all three modes in normalised
pose space for four domains. ``nano-droid`` answers policy only: 32 rows of seven joint positions and the gripper, and
no video. Numbers are strictly typed (``35.0`` is not an integer) and unknown fields are refused with 422.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Coroutine, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from cosmos_ros.embodiment.canvas import TierSize
from cosmos_ros.errors import CapabilityError, ConfigError, ModelError
from cosmos_ros.settings import setting
from cosmos_ros.types import ActionSpace, Mode, Request, Rollout, UInt8Array
from cosmos_ros.world_models.backend import ModelBackend
from cosmos_ros.world_models.domains import POLICY_DROID_CHUNK, POLICY_DROID_DOMAIN, POSE_CHUNK_SIZES, check_width
from cosmos_ros.world_models.media import canvas_of, decode_frames, encode_clip, encode_png
from cosmos_ros.world_models.protocol import Capabilities
from cosmos_ros.world_models.remote.action_answers import read_action
from cosmos_ros.world_models.remote.joint_policy import gripper_from_server, policy_image, policy_state
from cosmos_ros.world_models.remote.network import HttpClient, ServerOptions, excerpt, reason_of, shown
from cosmos_ros.world_models.remote.remote_model import NetworkModel
from cosmos_ros.world_models.sampler_settings import SETTINGS, SamplerSettings, resolve_sampler

_LARGEST_GUIDANCE = 7.0
_LONGEST_PROMPT = 20_000

_SETTINGS = SETTINGS - {"use_system_prompt"}
_DOMAINS = frozenset({"av", "bridge_orig_lerobot", "droid_lerobot", "umi"})


@dataclass(frozen=True)
class NimOptions(ServerOptions):
    """Options of ``nim``."""

    variant: str = setting(
        "general",
        "What the container serves (its NIM_MODEL_VARIANT); nano-droid is the joint-space policy.",
        choices=("general", "nano-droid"),
    )
    caption: str = setting(
        "json",
        "json sends the structured caption the model was trained on, plain the instruction as NVIDIA's examples do.",
        choices=("json", "plain"),
    )


def capabilities(options: NimOptions) -> Capabilities:
    """Return what the container's variant can do."""
    if options.variant == "general":
        return Capabilities(modes=frozenset(Mode), domains=_DOMAINS, chunk_sizes=POSE_CHUNK_SIZES, settings=_SETTINGS)
    return Capabilities(
        modes=frozenset({Mode.POLICY}),
        domains=frozenset({POLICY_DROID_DOMAIN}),
        chunk_sizes=(POLICY_DROID_CHUNK,),
        needs_state=True,
        returns_frames=False,
        action_space=ActionSpace.JOINT,
        settings=_SETTINGS,
        negative_prompt=False,
    )


class Nim(NetworkModel):
    """Cosmos3 served by a NIM container."""

    name = "nim"

    def __init__(self, options: NimOptions) -> None:
        self._http = HttpClient(self.where, options)
        super().__init__(self._http.url, options, capabilities(options))
        self._options = options
        self._model = ""
        self._joint = options.variant == "nano-droid"

    async def _greet(self) -> None:
        ready = await self._http.request("GET", "/v1/health/ready", repeat=True)
        if not ready.ok:
            raise ModelError(
                f"{self.url}/v1/health/ready answers {ready.status}: {reason_of(ready.body)}",
                where=self.where,
                hint="Wait until the container has loaded the model.",
            )
        answer = await self._http.request("GET", "/v1/metadata", repeat=True)
        metadata = self._http.read_object(answer, "the metadata")
        endpoint = metadata.get("inference_endpoint")
        if isinstance(endpoint, str) and not endpoint.endswith("/v1/infer"):
            raise ConfigError(
                f"{self.url} serves {shown(metadata.get('model_type'))} at {excerpt(endpoint, 80)}, "
                "not a Cosmos3 generator",
                where=self.where,
                hint="Start the container with NIM_MODEL_TYPE=generator.",
            )
        infos = metadata.get("modelInfo")
        first = infos[0] if isinstance(infos, list) and infos else None
        name = first.get("shortName") if isinstance(first, Mapping) else None
        self._model = excerpt(name, 200) if name and isinstance(name, str) else ""

    def _ask(self, request: Request) -> Coroutine[Any, Any, Rollout]:
        sampler = resolve_sampler(self.where, request, action_space=self.capabilities.action_space, known=_SETTINGS)
        if sampler.guidance_scale > _LARGEST_GUIDANCE:
            raise CapabilityError(
                f"setting guidance_scale is {sampler.guidance_scale:g}, this server takes 1 to {_LARGEST_GUIDANCE:g}",
                where=self.where,
            )
        if self._joint:
            body = self._specialist(request, sampler)
            request = replace(request, image=policy_image(self.where, request))
            return self._predict(request, sampler, canvas_of(self.where, request), body)
        canvas = canvas_of(self.where, request)
        return self._predict(request, sampler, canvas, self._general(request, sampler))

    def _general(self, request: Request, sampler: SamplerSettings) -> dict[str, Any]:
        check_width(self.where, request)
        action_params: dict[str, Any] = {
            "domain_name": request.domain_name,
            "action_chunk_size": request.chunk_size,
            "raw_action_dim": request.action_dim,
            "image_size": str(request.resolution_tier),
            "action_fps": float(request.fps),
        }
        if request.mode is Mode.FORWARD_DYNAMICS:
            assert request.actions is not None
            action_params["action"] = [[float(v) for v in row] for row in request.actions]
        body = {**self._common(request, sampler), "action_params": action_params, "fps": float(request.fps)}
        if request.negative_prompt:
            body["negative_prompt"] = request.negative_prompt
        return body

    def _specialist(self, request: Request, sampler: SamplerSettings) -> dict[str, Any]:
        if request.negative_prompt:
            raise CapabilityError("variant nano-droid takes no negative prompt", where=self.where)
        joints, closing = policy_state(self.where, request)
        # The profile owns every other field: the server refuses them.
        return {
            **self._common(request, sampler),
            "action_params": {
                "domain_name": request.domain_name,
                "action_chunk_size": request.chunk_size,
                "observation": {
                    "observation/joint_position": [float(v) for v in joints],
                    "observation/gripper_position": float(closing),
                },
            },
        }

    def _common(self, request: Request, sampler: SamplerSettings) -> dict[str, Any]:
        plain = self._options.caption == "plain" or self._joint or not request.prompt
        prompt = request.instruction if plain else request.prompt
        if len(prompt) > _LONGEST_PROMPT:
            raise CapabilityError(
                f"the caption has {len(prompt)} characters, this server takes {_LONGEST_PROMPT}", where=self.where
            )
        return {
            "model_mode": request.mode.value,
            "prompt": prompt,
            "num_inference_steps": sampler.num_inference_steps,
            "guidance_scale": sampler.guidance_scale,
            "flow_shift": sampler.flow_shift,
            "seed": request.seed,
        }

    async def _predict(
        self, request: Request, sampler: SamplerSettings, canvas: TierSize, body: Mapping[str, Any]
    ) -> Rollout:
        started = time.perf_counter()
        if request.mode is Mode.INVERSE_DYNAMICS:
            reference = "data:video/mp4;base64," + base64.b64encode(encode_clip(self.where, request)).decode()
        else:
            reference = "data:image/png;base64," + base64.b64encode(encode_png(self.where, request)).decode()
        encoded = time.perf_counter()
        answer = await self._http.request(
            "POST", "/v1/infer", repeat=False, body=lambda: {**body, "input_reference": reference}
        )
        found = self._http.read_object(answer, "the prediction")
        if found.get("error"):  # some proxies turn an error into a 200
            raise ModelError(f"{self.url}: {reason_of(answer.body)}", where=self.where)
        answered = time.perf_counter()
        actions = None
        if request.mode is not Mode.FORWARD_DYNAMICS:
            actions = read_action(self.where, found.get("action"), request)
            if self._joint:
                actions = gripper_from_server(self.where, actions)
        frames = None
        if self.capabilities.returns_frames and request.mode is not Mode.INVERSE_DYNAMICS:
            frames = await self._frames(found.get("b64_video"), request, canvas)
        return Rollout(
            frames=frames,
            actions=actions,
            action_space=self.capabilities.action_space,
            provenance={
                "model": self._model,
                "variant": self._options.variant,
                "caption": self._options.caption,
                "sampler": asdict(sampler),
                "canvas_size": [canvas.height, canvas.width],
            },
            latencies_ms={
                "encode": (encoded - started) * 1e3,
                "infer": (answered - encoded) * 1e3,
                "decode": (time.perf_counter() - answered) * 1e3,
            },
        )

    async def _frames(self, encoded: Any, request: Request, canvas: TierSize) -> UInt8Array:
        if not isinstance(encoded, str) or not encoded:
            raise ModelError("the answer has no b64_video", where=self.where)
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ModelError(f"b64_video is not base64: {error}", where=self.where) from error
        return await decode_frames(self.where, data, request, canvas)

    async def _disconnect(self) -> None:
        await self._http.close()


BACKEND = ModelBackend(
    name="nim",
    summary="Cosmos3-Nano or Nano-DROID behind NVIDIA NIM's `/v1/infer`",
    options=NimOptions,
    capabilities=capabilities,
    implementation=Nim,
    packages=("aiohttp>=3.9", "av>=12"),
    examples={
        "nim": {"model": "http://localhost:8000"},
        "nim nano-droid": {"model": "http://localhost:8000", "variant": "nano-droid"},
    },
)
