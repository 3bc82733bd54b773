"""The backend ``vllm_omni``: Cosmos3-Nano behind vLLM-Omni's OpenAI-compatible video endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.types import Mode
from cosmos_ros.world_models.backend import Backend
from cosmos_ros.world_models.domains import DOMAINS, POSE_CHUNK_SIZES
from cosmos_ros.world_models.protocol import Capabilities
from cosmos_ros.world_models.remote.options import ServerOptions
from cosmos_ros.world_models.sampler_settings import SETTINGS


@dataclass(frozen=True)
class VllmOmniOptions(ServerOptions):
    """Options of ``vllm_omni``, besides those of every server.

    Attributes:
        served_model: Name the server must serve; empty takes what it serves.
        frames: Fetch the predicted video too; without it forward_dynamics is refused.
        read_timeout: Longest silence while an answer is read, s.
    """

    served_model: str = ""
    frames: bool = True
    read_timeout: float = 60.0

    @property
    def silence_timeout(self) -> float:
        """Longest silence while an answer is read, s."""
        return self.read_timeout


def capabilities(options: VllmOmniOptions) -> Capabilities:
    """Return what it can do: all modes of every domain, forward dynamics only with frames."""
    return Capabilities(
        modes=frozenset(Mode) if options.frames else frozenset({Mode.POLICY, Mode.INVERSE_DYNAMICS}),
        domains=frozenset(DOMAINS),
        chunk_sizes=POSE_CHUNK_SIZES,
        returns_frames=options.frames,
        settings=frozenset(SETTINGS),
    )


BACKEND = Backend(
    name="vllm_omni",
    summary="Cosmos3-Nano behind vLLM-Omni's `/v1/videos`",
    options=VllmOmniOptions,
    capabilities=capabilities,
    implementation="cosmos_ros.world_models.remote.vllm_omni:VllmOmni",
    packages=("aiohttp>=3.9", "av>=12"),
    examples={"vllm_omni": {"model": "http://localhost:8000"}},
)
