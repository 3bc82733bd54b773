"""Cosmos3 behind vLLM-Omni's OpenAI-compatible video endpoint.

Server: ``vllm serve nvidia/Cosmos3-Nano --omni --model-class-name Cosmos3OmniDiffusersPipeline``. A prediction is a
job: ``POST /v1/videos`` (multipart), ``GET /v1/videos/{id}`` until it is done, ``GET /v1/videos/{id}/content``,
``DELETE``. The synchronous endpoint is not used: it drops the action. Actions are in the model's normalised space.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Coroutine, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cosmos_ros.embodiment.canvas import TierSize
from cosmos_ros.errors import ConfigError, ModelError
from cosmos_ros.settings import setting
from cosmos_ros.types import Mode, Request, Rollout, UInt8Array
from cosmos_ros.world_models.backend import ModelBackend
from cosmos_ros.world_models.domains import check_width, pose_model_capabilities
from cosmos_ros.world_models.media import canvas_of, decode_frames, encode_clip, encode_png
from cosmos_ros.world_models.remote.action_answers import read_action
from cosmos_ros.world_models.remote.network import (
    HttpAnswer,
    HttpClient,
    ServerOptions,
    excerpt,
    finite_number,
    read_json,
    reason_of,
    shown,
)
from cosmos_ros.world_models.remote.remote_model import NetworkModel
from cosmos_ros.world_models.sampler_settings import SamplerSettings, resolve_sampler

if TYPE_CHECKING:
    import aiohttp

_WAITING = frozenset({"queued", "in_progress", "running", "pending"})
_FIRST_POLL, _LONGEST_POLL = 0.05, 1.0
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LONGEST_NAME = 200


@dataclass(frozen=True)
class VllmOmniOptions(ServerOptions):
    """Options of ``vllm_omni``."""

    served_model: str = setting("", "Refuse a server that serves another model; empty takes what it serves.")
    frames: bool = setting(True, "Fetch the predicted video too; without it forward_dynamics is refused.")
    read_timeout: float = setting(60.0, "Longest silence while an answer is read", minimum=0.001, unit="s")

    @property
    def silence_timeout(self) -> float:
        """Longest silence while an answer is read, s."""
        return self.read_timeout


class VllmOmni(NetworkModel):
    """Cosmos3-Nano served by vLLM-Omni; all three modes, 10- to 29-wide pose actions."""

    name = "vllm_omni"

    def __init__(self, options: VllmOmniOptions) -> None:
        self._http = HttpClient(self.where, options)
        super().__init__(self._http.url, options, pose_model_capabilities(options.frames))
        self._served_model = options.served_model
        self._frames = options.frames

    async def _greet(self) -> None:
        health = await self._http.request("GET", "/health", repeat=True)
        if not health.ok:
            raise ModelError(
                f"{self.url}/health answers {health.status}: {reason_of(health.body)}",
                where=self.where,
                hint="Wait until the server has loaded the model.",
            )
        answer = await self._http.request("GET", "/v1/models", repeat=True)
        listing = self._http.read_object(answer, "the list of models")
        models = listing.get("data")
        names = [m.get("id") for m in models if isinstance(m, Mapping)] if isinstance(models, list) else []
        served = [n for n in names if isinstance(n, str) and n.isprintable() and len(n) <= _LONGEST_NAME]
        if self._served_model and self._served_model not in served:
            raise ConfigError(f"{self.url} serves {shown(served, 300)}, not {self._served_model}", where=self.where)
        self._served_model = self._served_model or (served[0] if served else "")
        if "Policy-DROID" in self._served_model:
            raise ConfigError(
                f"{self._served_model} takes joint positions, for which this endpoint is not used",
                where=self.where,
                hint="Use world_model:=openpi with this server.",
            )

    def _ask(self, request: Request) -> Coroutine[Any, Any, Rollout]:
        check_width(self.where, request)
        sampler = resolve_sampler(self.where, request)
        return self._predict(request, sampler, canvas_of(self.where, request))

    async def _predict(self, request: Request, sampler: SamplerSettings, canvas: TierSize) -> Rollout:
        started = time.perf_counter()
        video = request.mode is Mode.INVERSE_DYNAMICS
        file = encode_clip(self.where, request) if video else encode_png(self.where, request)
        encoded = time.perf_counter()
        answer = await self._http.request(
            "POST", "/v1/videos", repeat=False, body=lambda: self._form(request, sampler, canvas, file)
        )
        job = self._http.read_object(answer, "the job")
        identity = job.get("id")
        if not isinstance(identity, str) or not _JOB_ID.fullmatch(identity):
            if job.get("error"):  # an error inside a 200
                raise ModelError(f"{self.url}: {reason_of(answer.body)}", where=self.where)
            raise ModelError(f"{self.url}: the job has no usable id but {shown(identity)}", where=self.where)
        try:
            done = await self._wait(identity, job)
            waited = time.perf_counter()
            actions = None
            if request.mode is not Mode.FORWARD_DYNAMICS:
                actions = read_action(self.where, done.get("action"), request)
            frames = None
            if self._frames and not video:
                frames = await self._fetch(identity, request, canvas)
        finally:
            # Whatever happened, the server need not go on or keep the result.
            self._run_aside(self._discard(identity))
        fetched = time.perf_counter()
        return Rollout(
            frames=frames,
            actions=actions,
            provenance={
                "model": self._served_model,
                "job": identity,
                "sampler": asdict(sampler),
                "canvas_size": [canvas.height, canvas.width],
                "server_inference_s": finite_number(done.get("inference_time_s")),
                "server_peak_memory_mb": finite_number(done.get("peak_memory_mb")),
            },
            latencies_ms={
                "encode": (encoded - started) * 1e3,
                "job": (waited - encoded) * 1e3,
                "fetch": (fetched - waited) * 1e3,
            },
        )

    def _form(self, request: Request, sampler: SamplerSettings, canvas: TierSize, file: bytes) -> aiohttp.FormData:
        import aiohttp

        extra: dict[str, Any] = {
            "action_mode": request.mode.value,
            "domain_name": request.domain_name,
            "raw_action_dim": request.action_dim,
            "action_chunk_size": request.chunk_size,
            "image_size": str(request.resolution_tier),
            "action_fps": request.fps,
            "use_system_prompt": sampler.use_system_prompt,
            "use_resolution_template": False,  # the caption carries both
            "use_duration_template": False,
        }
        if request.mode is Mode.FORWARD_DYNAMICS:
            assert request.actions is not None
            extra["action"] = request.actions.tolist()
        form = aiohttp.FormData(quote_fields=False)
        fields: dict[str, Any] = {
            "prompt": request.prompt or request.instruction,
            "negative_prompt": request.negative_prompt,
            "model": self._served_model,
            "size": f"{canvas.width}x{canvas.height}",
            "num_frames": request.chunk_size + 1,
            "fps": f"{request.fps:g}",
            "num_inference_steps": sampler.num_inference_steps,
            "guidance_scale": sampler.guidance_scale,
            "flow_shift": sampler.flow_shift,
            "seed": request.seed,
            "extra_params": json.dumps(extra),
        }
        for name, value in fields.items():
            if value != "":
                form.add_field(name, str(value))
        kind, suffix = ("video/mp4", "mp4") if request.mode is Mode.INVERSE_DYNAMICS else ("image/png", "png")
        form.add_field("input_reference", file, filename=f"input.{suffix}", content_type=kind)
        return form

    async def _wait(self, identity: str, job: Mapping[str, Any]) -> Mapping[str, Any]:
        """Poll until the job is done; the deadline of the whole prediction ends it otherwise."""
        pause = _FIRST_POLL
        while True:
            status = job.get("status")
            if status == "completed":
                return job
            if not isinstance(status, str) or status not in _WAITING:
                reason = reason_of(json.dumps(job.get("error") or job).encode())
                said = excerpt(status, 40) if status and isinstance(status, str) else "has no status"
                raise ModelError(f"the server's job {said}: {reason}", where=self.where)
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_POLL)
            job = self._poll_answer(await self._http.request("GET", f"/v1/videos/{identity}", repeat=True))

    def _poll_answer(self, answer: HttpAnswer) -> Mapping[str, Any]:
        """Return the job; a failed one comes with an error status and the whole job in the body."""
        if answer.ok:
            return self._http.read_object(answer, "the job")
        try:
            body = read_json(self.where, "the job", answer.body)
        except ModelError:
            body = None
        if isinstance(body, Mapping) and body.get("status") in ("failed", "cancelled", "canceled"):
            return body
        hint = None
        if answer.status == 404:
            hint = "The server forgot the job: it was restarted, or runs several API processes; run it with one."
        raise ModelError(
            f"asking for the job was answered {answer.status}: {reason_of(answer.body)}", where=self.where, hint=hint
        )

    async def _fetch(self, identity: str, request: Request, canvas: TierSize) -> UInt8Array:
        answer = await self._http.request("GET", f"/v1/videos/{identity}/content", repeat=True, accept="video/mp4")
        if not answer.ok:
            raise ModelError(
                f"fetching the video was answered {answer.status}: {reason_of(answer.body)}", where=self.where
            )
        if not answer.body:
            raise ModelError(
                "the server made no video", where=self.where, hint="Set the option frames to false to do without."
            )
        return await decode_frames(self.where, answer.body, request, canvas)

    async def _discard(self, identity: str) -> None:
        with contextlib.suppress(ModelError):  # only tidiness on the server's side
            await self._http.request("DELETE", f"/v1/videos/{identity}", repeat=False)

    async def _disconnect(self) -> None:
        await self._http.close()


BACKEND = ModelBackend(
    name="vllm_omni",
    summary="Cosmos3-Nano behind vLLM-Omni's `/v1/videos`",
    options=VllmOmniOptions,
    capabilities=lambda options: pose_model_capabilities(options.frames),
    implementation=VllmOmni,
    packages=("aiohttp>=3.9", "av>=12"),
    examples={"vllm_omni": {"model": "http://localhost:8000"}},
)
