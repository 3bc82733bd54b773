"""The backend ``openpi``: Cosmos3-Nano-Policy-DROID behind a policy websocket."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.errors import ConfigError
from cosmos_ros.types import ActionSpace, Mode
from cosmos_ros.world_models.backend import Backend
from cosmos_ros.world_models.domains import POLICY_DROID_CHUNK, POLICY_DROID_DOMAIN
from cosmos_ros.world_models.protocol import Capabilities
from cosmos_ros.world_models.remote.options import ServerOptions

_DIALECTS = ("auto", "vllm_omni", "cosmos_framework")


@dataclass(frozen=True)
class OpenPiOptions(ServerOptions):
    """Options of ``openpi``, besides those of every server.

    Attributes:
        model: Address, e.g. ``ws://localhost:8000/v1/realtime/robot/openpi`` or ``ws://localhost:8000``.
        dialect: ``auto`` goes by the greeting; or ``vllm_omni``, ``cosmos_framework``.
    """

    timeout: float = 30.0
    max_answer_bytes: int = 64 << 20
    dialect: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dialect not in _DIALECTS:
            raise ConfigError(
                f"dialect '{self.dialect}' is not one of {', '.join(_DIALECTS)}", where="world_model openpi"
            )


CAPABILITIES = Capabilities(
    modes=frozenset({Mode.POLICY}),
    domains=frozenset({POLICY_DROID_DOMAIN}),
    chunk_sizes=(POLICY_DROID_CHUNK,),
    needs_state=True,
    returns_frames=False,
    action_space=ActionSpace.JOINT,
    deterministic=False,  # the server draws the seed, unless it was started otherwise
    settings=frozenset(),
    negative_prompt=False,
)

BACKEND = Backend(
    name="openpi",
    summary="Cosmos3-Nano-Policy-DROID behind a policy websocket",
    options=OpenPiOptions,
    capabilities=lambda _: CAPABILITIES,
    implementation="cosmos_ros.world_models.remote.openpi:OpenPi",
    packages=("aiohttp>=3.9", "msgpack>=1.0"),
    examples={"openpi": {"model": "ws://localhost:8000"}},
)
