"""Servers on loopback that speak the protocols of vLLM-Omni, NIM and the OpenPI websocket, with their odd replies.

They check what they are sent as the real ones do, and answer from the request alone, so that a test can work out
what must come back. ``odd`` names a misbehaviour.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import uuid
from typing import Any

import cv2
import msgpack
import numpy as np
from aiohttp import WSCloseCode, WSMsgType, web

from cosmos_ros.embodiment.canvas import fit_to_tier
from cosmos_ros.types import UInt8Array
from cosmos_ros.world_models.mp4 import decode_video, encode_video

WIDTHS = {"av": 9, "umi": 10, "bridge_orig_lerobot": 10, "droid_lerobot": 10}
DOMAIN_IDS = {"av": 1, "umi": 6, "bridge_orig_lerobot": 7, "droid_lerobot": 8, "agibotworld": 15}


def answer_action(seed: int, steps: int, width: int) -> np.ndarray:
    """What every stand-in predicts."""
    return np.random.default_rng(seed).normal(size=(steps, width)).astype(np.float32)


def answer_frames(image: UInt8Array, steps: int) -> UInt8Array:
    """The conditioning picture, getting brighter step by step."""
    frames = np.repeat(image[None].astype(np.int32), steps + 1, axis=0)
    frames += 2 * np.arange(steps + 1)[:, None, None, None]
    return np.clip(frames, 0, 255).astype(np.uint8)


def png(data: bytes) -> UInt8Array:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


class StandIn:
    """An aiohttp server in a thread of its own; a context manager."""

    def __init__(self, odd: str = "", ssl_context: Any = None) -> None:
        self.odd = odd
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self._ssl = ssl_context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    def __enter__(self):
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self, port: int = 0) -> None:
        @web.middleware
        async def note(request: web.Request, handler: Any) -> web.StreamResponse:
            self.requests.append((request.method, request.path))
            self.headers.append(dict(request.headers))
            return await handler(request)

        app = web.Application(client_max_size=512 << 20, middlewares=[note])
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=self._ssl)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"{'https' if self._ssl else 'http'}://127.0.0.1:{self.port}"

    def asked(self, method: str) -> list[str]:
        """Paths asked for with one method."""
        return [path for how, path in self.requests if how == method]

    async def misbehave(self, request: web.Request) -> web.StreamResponse | None:
        """Replies that any broken server or proxy may give to the main request."""
        if self.odd in ("half", "drop", "status line", "token"):
            await request.read()
        if self.odd == "html":
            return web.Response(text="<html><body>502 Bad Gateway</body></html>", content_type="text/html")
        if self.odd == "not json":
            return web.Response(text='{"id": "video_gen_', content_type="application/json")
        if self.odd == "a list":
            return web.json_response([1, 2, 3])
        if self.odd == "deep":
            return web.Response(text="[" * 200_000, content_type="application/json")
        if self.odd == "announced 10 GB":
            response = web.StreamResponse(headers={"Content-Length": str(10 << 30)})
            await response.prepare(request)
            await response.write(b" " * 1000)
            return response
        if self.odd == "endless":
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(10_000):
                await response.write(b" " * (1 << 16))
            return response
        if self.odd == "gzip":
            return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
        if self.odd == "redirect":
            raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/steal")
        if self.odd == "hang":
            await asyncio.sleep(30)
        if self.odd == "drip":
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(300):
                await response.write(b" ")
                await asyncio.sleep(0.05)
            return response
        if self.odd == "half":
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"id":')
            request.transport.close()
            return response
        if self.odd == "drop":
            request.transport.close()
            return web.Response()
        if self.odd == "error in 200":
            return web.json_response({"action": [], "error": {"message": "CUDA out of memory", "code": 500}})
        if self.odd == "status line":
            request.transport.write(b"HTTP/1.1 abc \x1b[2J\r\n\r\n")
            request.transport.close()
        if self.odd == "token":
            return web.json_response({"detail": f"bad {request.headers['Authorization']}"}, status=401)
        if self.odd == "busy once":
            self.odd = ""
            return web.json_response({"detail": "queue full"}, status=503, headers={"Retry-After": "1"})
        return None


class VllmOmni(StandIn):
    """``/v1/videos``: asynchronous jobs, as vLLM-Omni 0.30."""

    def __init__(
        self,
        odd: str = "",
        model: str = "nvidia/Cosmos3-Nano",
        polls: int = 2,
        calm: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(odd, **options)
        self.calm = calm  # actions near "no motion", which a robot can carry out
        self.model = model
        self.polls = polls
        self.jobs: dict[str, dict[str, Any]] = {}
        self.forms: list[dict[str, Any]] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self.health),
            web.get("/v1/models", self.models),
            web.post("/v1/videos", self.submit),
            web.post("/v1/videos/sync", self.sync),
            web.get("/v1/videos/{id}", self.poll),
            web.get("/v1/videos/{id}/content", self.content),
            web.delete("/v1/videos/{id}", self.delete),
        ]

    async def health(self, _: web.Request) -> web.Response:
        if self.odd == "loading":
            return web.json_response({"detail": "Engine is still loading"}, status=503)
        return web.Response()

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.model, "object": "model"}]})

    async def _job(self, request: web.Request) -> dict[str, Any]:
        form: dict[str, Any] = {}
        async for part in await request.multipart():
            form[part.name] = bytes(await part.read()) if part.filename else await part.text()
        self.forms.append(form)

        def deny(detail: Any, status: int = 400) -> None:
            error = web.HTTPBadRequest(text=json.dumps({"detail": detail}), content_type="application/json")
            error.set_status(status)
            raise error

        if not form.get("prompt"):
            deny([{"loc": ["body", "prompt"], "msg": "Field required"}], 422)
        if form.get("model", self.model) != self.model:
            deny(f"The model `{form['model']}` does not exist; serving `{self.model}`")
        extra = json.loads(form["extra_params"])
        mode, steps = extra["action_mode"], int(extra["action_chunk_size"])
        if mode not in ("policy", "forward_dynamics", "inverse_dynamics") or "domain_name" not in extra:
            deny("action_mode and domain_name are needed")
        if mode != "forward_dynamics" and "raw_action_dim" not in extra:
            deny("raw_action_dim is required")
        if int(form["num_frames"]) not in (steps, steps + 1):
            deny("num_frames must be action_chunk_size or one more")
        if self.odd == "422":
            deny([{"loc": ["body", "seed"], "msg": "Input should be a valid integer"}], 422)
        reference = form["input_reference"]
        if mode == "inverse_dynamics":
            picture = decode_video(reference, where="upload", max_frames=500)[0][0]
        else:
            picture = png(reference)
        width, height = (int(n) for n in form["size"].split("x"))
        padded, size = fit_to_tier(picture, int(extra["image_size"]))
        if (size.height, size.width) != (height, width):
            deny(f"size {form['size']} is not the tier's {size.width}x{size.height}")
        rows = np.array(extra["action"]) if mode == "forward_dynamics" else None
        if rows is None:
            rows = answer_action(int(form["seed"]), steps, int(extra["raw_action_dim"]))
            if self.calm:
                rows = 0.01 * rows
                rows[:, [3, 7]] += 1.0
        if rows.shape != (steps, int(extra["raw_action_dim"])):
            deny("action has the wrong shape")
        job = {
            "id": f"video_gen_{uuid.uuid4().hex}",
            "object": "video",
            "status": "queued",
            "progress": 0,
            "model": self.model,
            "prompt": form["prompt"],
            "created_at": 0,
            "seconds": "1",
            "size": form["size"],
        }
        result = {
            "action": {
                "data": [[float(v) for v in row] for row in rows],
                "shape": [int(n) for n in rows.shape],
                "dtype": "torch.float32",
                "raw_action_dim": int(extra["raw_action_dim"]),
                "action_mode": mode,
                "domain_id": DOMAIN_IDS.get(extra["domain_name"]),
            },
            "inference_time_s": 0.5,
            "fps": float(form["fps"]),
            "num_frames": steps + 1,
            "peak_memory_mb": 47104.0,
        }
        self.jobs[job["id"]] = {
            "job": job,
            "result": result,
            "left": self.polls,
            "video": encode_video(answer_frames(padded, steps), float(form["fps"])),
        }
        return job

    async def submit(self, request: web.Request) -> web.StreamResponse:
        odd = await self.misbehave(request)
        return odd if odd is not None else web.json_response(await self._job(request))

    async def sync(self, request: web.Request) -> web.Response:
        job = await self._job(request)
        return web.Response(body=self.jobs[job["id"]]["video"], content_type="video/mp4")

    async def poll(self, request: web.Request) -> web.Response:
        held = self.jobs.get(request.match_info["id"])
        if held is None or self.odd == "forgotten":
            return web.json_response({"detail": "Video not found"}, status=404)
        job = held["job"]
        if self.odd == "stuck":
            return web.json_response({**job, "status": "in_progress", "progress": 1})
        if self.odd == "failed":
            error = {"code": "500", "message": "CUDA error: an illegal memory access"}
            return web.json_response({**job, "status": "failed", "error": error}, status=500)
        if self.odd == "cancelled":
            return web.json_response({**job, "status": "cancelled", "error": None})
        if self.odd == "status list":
            return web.json_response({**job, "status": ["completed"]})
        if self.odd == "half a character":
            return web.Response(text='{"status": "failed", "error": {"message": "\\ud800 lost"}}', status=500)
        if self.odd == "many values":
            return web.Response(body=b"[" + (1 << 20) * b"[]," + b"[]]", content_type="application/json")
        if self.odd == "poll breaks once":
            self.odd = ""
            request.transport.close()
            return web.Response()
        held["left"] -= 1
        if held["left"] > 0:
            return web.json_response({**job, "status": "in_progress", "progress": 50})
        result = json.loads(json.dumps(held["result"]))
        action = result["action"]
        if self.odd == "nan":
            action["data"][2][3] = float("nan")
        elif self.odd == "huge":
            action["data"][0][1] = 1e300
        elif self.odd == "text in rows":
            action["data"][1][0] = "0.5"
        elif self.odd == "short":
            action["data"] = action["data"][:-1]
            action["shape"][0] -= 1
        elif self.odd == "lying shape":
            action["shape"] = [99, 3]
        elif self.odd == "narrow":
            action["data"] = [row[:-1] for row in action["data"]]
        elif self.odd == "other domain":
            action["domain_id"] = 31
        elif self.odd == "no action":
            result["action"] = None
        elif self.odd == "odd facts":
            result |= {"inference_time_s": float("nan"), "peak_memory_mb": 1000 * ["x"]}
        return web.json_response({**job, "status": "completed", "progress": 100, **result})

    async def content(self, request: web.Request) -> web.Response:
        video = self.jobs[request.match_info["id"]]["video"]
        if self.odd == "empty video":
            video = b""
        elif self.odd == "half a video":
            video = video[: len(video) // 2]
        elif self.odd == "html video":
            video = b"<html>not found</html>"
        elif self.odd == "long video":
            frames, rate = decode_video(video, where="own", max_frames=500)
            video = encode_video(np.concatenate([frames, frames]), rate)
        elif self.odd == "large video":
            video = encode_video(np.zeros((5, 1080, 1920, 3), np.uint8), 5.0)
        elif self.odd == "no video":
            return web.json_response({"detail": "Video content was removed"}, status=410)
        return web.Response(body=video, content_type="video/mp4")

    async def delete(self, request: web.Request) -> web.Response:
        self.jobs.pop(request.match_info["id"], None)
        return web.json_response({"id": request.match_info["id"], "deleted": True})


class Nim(StandIn):
    """``POST /v1/infer`` with its strict schema."""

    TOP = frozenset(
        (
            *("model_mode", "prompt", "negative_prompt", "input_reference", "seed", "guidance_scale"),
            *("num_inference_steps", "flow_shift", "fps", "action_params"),
        )
    )
    PARAMS = frozenset(
        (
            *("domain_name", "action_chunk_size", "action", "raw_action_dim", "action_space", "image_size"),
            *("action_fps", "history_length", "use_state", "observation"),
        )
    )

    def __init__(self, odd: str = "", variant: str = "general", **options: Any) -> None:
        super().__init__(odd, **options)
        self.variant = variant
        self.bodies: list[dict[str, Any]] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/health/ready", self.ready),
            web.get("/v1/metadata", self.metadata),
            web.post("/v1/infer", self.infer),
        ]

    async def ready(self, _: web.Request) -> web.Response:
        if self.odd == "loading":
            return web.json_response({"object": "health-response", "message": "Service is not ready."}, status=503)
        return web.json_response({"object": "health-response", "message": "Service is ready."})

    async def metadata(self, _: web.Request) -> web.Response:
        if self.odd == "reasoner":
            return web.json_response({"model_type": "reasoner", "inference_endpoint": "/v1/chat/completions"})
        name = "cosmos3-nano-droid" if self.variant == "nano-droid" else "cosmos3-nano"
        return web.json_response(
            {
                "modelInfo": [{"shortName": name, "modelUrl": ""}],
                "model_type": "generator",
                "inference_endpoint": "/v1/infer",
            }
        )

    def _refusal(self, body: dict[str, Any]) -> str | None:
        params = body.get("action_params", {})
        unknown = (set(body) - self.TOP) | (set(params) - self.PARAMS)
        if unknown:
            return f"Extra inputs are not permitted: {sorted(unknown)}"
        mode = body.get("model_mode")
        if mode not in ("policy", "forward_dynamics", "inverse_dynamics"):
            return "model_mode"
        if type(body.get("num_inference_steps", 1)) is not int or type(body.get("seed", 0)) is not int:
            return "Input should be a valid integer"
        if not 1.0 <= body.get("guidance_scale", 1.0) <= 7.0:
            return "guidance_scale"
        if params.get("domain_name") not in WIDTHS:
            return "domain_name"
        steps = params.get("action_chunk_size")
        if type(steps) is not int or steps < 1 or steps % 4:
            return "action_chunk_size must be a positive multiple of 4"
        if self.variant == "nano-droid":
            owned = {"raw_action_dim", "action_space", "image_size", "action_fps", "history_length", "use_state"}
            if mode != "policy" or steps != 32 or owned & set(params) or {"fps", "negative_prompt"} & set(body):
                return "this profile owns that field"
            seen = params.get("observation", {})
            if len(seen.get("observation/joint_position", [])) != 7:
                return "observation/joint_position"
            return None if isinstance(seen.get("observation/gripper_position"), float) else "gripper"
        if params.get("image_size", "480") not in ("256", "480", "704", "720"):
            return "image_size"
        if params.get("raw_action_dim", WIDTHS[params["domain_name"]]) != WIDTHS[params["domain_name"]]:
            return "raw_action_dim"
        if (mode == "forward_dynamics") != ("action" in params):
            return "action belongs to forward_dynamics"
        return None

    async def infer(self, request: web.Request) -> web.StreamResponse:
        odd = await self.misbehave(request)
        if odd is not None:
            return odd
        body = await request.json()
        self.bodies.append(body)
        refusal = self._refusal(body)
        if refusal or self.odd == "422":
            error = {"message": refusal or "prompt is blocked", "type": "invalid_request_error", "code": 422}
            return web.json_response({"error": error}, status=422)
        mode, params = body["model_mode"], body["action_params"]
        steps = params["action_chunk_size"]
        head, _, data = body["input_reference"].partition(",")
        media = base64.b64decode(data)
        if (mode == "inverse_dynamics") != head.startswith("data:video/mp4"):
            return web.json_response({"error": {"message": "wrong media", "code": 422}}, status=422)
        width = 8 if self.variant == "nano-droid" else WIDTHS[params["domain_name"]]
        rows = answer_action(body["seed"], steps, width)
        if self.variant == "nano-droid":
            rows = droid_rows(params["observation"], body["seed"])
        envelope = {
            "data": [[float(v) for v in row] for row in rows],
            "shape": [steps, width],
            "dtype": "float32",
            "raw_action_dim": width,
            "action_mode": mode,
            "domain_id": DOMAIN_IDS[params["domain_name"]],
        }
        if self.odd == "nan":
            envelope["data"][0][0] = float("nan")
        if self.variant == "nano-droid":
            return web.json_response({"action": envelope})
        if mode == "inverse_dynamics":
            frames = decode_video(media, where="upload", max_frames=500)[0]
        else:
            frames = answer_frames(png(media), steps)
        video = base64.b64encode(encode_video(frames, body["fps"])).decode()
        if self.odd == "no video":
            video = None
        elif self.odd == "not base64":
            video = "%%%"
        elif self.odd == "half a video":
            video = video[: len(video) // 8 * 4]
        return web.json_response({"b64_video": video, "action": None if mode == "forward_dynamics" else envelope})


def droid_rows(observation: dict[str, Any], seed: int) -> np.ndarray:
    """Raw rows of a joint policy: a slow sweep from where the arm is, the gripper closing (raw: towards 1)."""
    joints = np.asarray(observation["observation/joint_position"], dtype=np.float32).reshape(-1)[-7:]
    closed = float(np.asarray(observation["observation/gripper_position"]).reshape(-1)[-1])
    step = np.arange(1, 33, dtype=np.float32)[:, None]
    sweep = joints + 0.01 * step * (1 + seed % 3)
    return np.concatenate([sweep, closed + (1 - closed) * step / 32], axis=1).astype(np.float32)


class OpenPi(StandIn):
    """The policy websocket in the dialect of vLLM-Omni or of cosmos-framework."""

    def __init__(self, odd: str = "", dialect: str = "vllm_omni", idle_timeout: float = 30.0, **options: Any) -> None:
        super().__init__(odd, **options)
        self.dialect = dialect
        self.idle_timeout = idle_timeout
        self.path = "/v1/realtime/robot/openpi" if dialect == "vllm_omni" else "/"
        self.messages: list[dict[str, Any]] = []
        self.connections = 0
        self.closed_idle = threading.Event()

    def routes(self) -> list[web.RouteDef]:
        return [web.get(self.path, self.serve), web.get("/elsewhere", self.elsewhere)]

    @property
    def address(self) -> str:
        return self.url.replace("http", "ws", 1) + self.path.rstrip("/")

    async def elsewhere(self, request: web.Request) -> web.StreamResponse:
        self.odd = ""
        return await self.serve(request)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self.odd == "no websocket":
            return web.Response(text="hello")
        if self.odd == "redirect":
            raise web.HTTPTemporaryRedirect(self.url + "/elsewhere")
        socket = web.WebSocketResponse(max_msg_size=64 << 20, timeout=0.1)
        await socket.prepare(request)
        self.connections += 1
        greeting: Any = {}
        if self.dialect == "vllm_omni":
            greeting = {
                "image_resolution": [540, 640],
                "n_external_cameras": 2,
                "needs_wrist_camera": True,
                "needs_stereo_camera": False,
                "needs_session_id": True,
                "action_space": "joint_velocity" if self.odd == "velocities" else "joint_position",
            }
        if self.odd == "small pictures":
            greeting["image_resolution"] = [224, 224]
        elif self.odd == "array greeting":
            greeting["action_space"] = np.zeros(3)
        elif self.odd == "silent":
            await asyncio.sleep(30)
        await socket.send_bytes(pack_openpi(greeting) if self.odd != "odd greeting" else pack_openpi([1, 2]))
        while True:
            try:
                message = await asyncio.wait_for(socket.receive(), self.idle_timeout)
            except asyncio.TimeoutError:
                await socket.close(code=WSCloseCode.GOING_AWAY, message=b"idle timeout")
                self.closed_idle.set()
                return socket
            if message.type is not WSMsgType.BINARY:
                return socket
            seen = unpack_openpi(message.data)
            self.messages.append(seen)
            if seen.get("endpoint") == "reset":
                await socket.send_bytes(pack_openpi({"status": "reset successful"}))
                continue
            if not await self._answer(socket, seen):
                return socket

    async def _answer(self, socket: web.WebSocketResponse, seen: dict[str, Any]) -> bool:
        """Answer one observation; False when the connection is to end."""
        if self.odd == "traceback":
            await socket.send_str("Traceback (most recent call last):\n  File ...\nRuntimeError: CUDA out of memory\n")
            await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"Internal server error.")
            return False
        if self.odd == "error":
            await socket.send_bytes(pack_openpi({"type": "error", "message": "Internal inference error"}))
            return True
        if self.odd == "close":
            await socket.close(code=WSCloseCode.GOING_AWAY)
            return False
        if self.odd == "escapes in the close":
            await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"going \x1b[31mred\n")
            return False
        if self.odd == "token":
            await socket.send_str("AuthError: token s3cret-token is not known")
            return True
        if self.odd == "many lists":
            await socket.send_bytes(b"\xdc\x01\x00" + 256 * (b"\xdc\x01\x00" + 256 * b"\x90"))
            return True
        if self.odd == "hang":
            await asyncio.sleep(30)
        if self.odd == "junk":
            await socket.send_bytes(b"\xc1junk")
            return True
        assert seen["observation/image"].dtype == np.uint8
        rows: Any = droid_rows(seen, int(seen.get("seed", 0)))
        if self.odd == "nan":
            rows[3, 4] = np.nan
        elif self.odd == "short":
            rows = rows[:16]
        elif self.odd == "ten wide":
            rows = np.zeros((32, 10), np.float32)
        elif self.odd == "degrees":
            rows[:, :7] = 57.3 * (1 + rows[:, :7])
        elif self.odd == "percent":
            rows[:, 7] *= 100
        elif self.odd == "objects":
            rows = {b"__ndarray__": True, b"data": b"12345678", b"dtype": "|O", b"shape": [1]}
        elif self.odd == "lying array":
            rows = {b"__ndarray__": True, b"data": b"1234", b"dtype": "<f4", b"shape": [1 << 20, 1 << 20]}
        elif self.odd == "dtype list":
            rows = {b"__ndarray__": True, b"data": b"", b"dtype": "(2,", b"shape": [0]}
        elif self.odd == "large integer":
            rows = {b"__npgeneric__": True, b"data": 2**63, b"dtype": "<i4"}
        elif self.odd == "array type":
            rows = {"type": np.zeros(3), "action": rows[:16]}
        elif self.odd == "big":
            rows = np.zeros((1 << 20, 8), np.float32)
        answer = rows
        if self.dialect == "cosmos_framework":
            answer = {"action": rows, "server_timing": {"infer_ms": 12.5}}
        if self.odd == "odd timings":
            answer["server_timing"] |= {"nan": float("nan"), "text": "x", "array": np.zeros(2), b"bytes": 1}
        await socket.send_bytes(pack_openpi(answer))
        return True


def pack_openpi(message: Any) -> bytes:
    """Independent of the package's own packing."""

    def default(value: Any) -> Any:
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }

    return msgpack.packb(message, default=default)


def unpack_openpi(data: bytes) -> Any:
    def hook(found: dict[Any, Any]) -> Any:
        if b"__ndarray__" in found:
            return np.ndarray(buffer=found[b"data"], dtype=np.dtype(found[b"dtype"]), shape=found[b"shape"])
        return found

    return msgpack.unpackb(data, object_hook=hook, strict_map_key=False)
