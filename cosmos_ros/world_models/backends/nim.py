"""The backend ``nim``: Cosmos3 served by an NVIDIA NIM container."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.errors import ConfigError
from cosmos_ros.types import ActionSpace, Mode
from cosmos_ros.world_models.backend import Backend
from cosmos_ros.world_models.domains import POLICY_DROID_CHUNK, POLICY_DROID_DOMAIN, POSE_CHUNK_SIZES
from cosmos_ros.world_models.protocol import Capabilities
from cosmos_ros.world_models.remote.options import ServerOptions
from cosmos_ros.world_models.sampler_settings import SETTINGS

NIM_SETTINGS = frozenset(SETTINGS) - {"use_system_prompt"}
_DOMAINS = frozenset({"av", "bridge_orig_lerobot", "droid_lerobot", "umi"})
_VARIANTS = ("general", "nano-droid")
_CAPTIONS = ("json", "plain")


@dataclass(frozen=True)
class NimOptions(ServerOptions):
    """Options of ``nim``, besides those of every server.

    Attributes:
        variant: ``general``, or ``nano-droid`` for the joint-space policy; as the container's ``NIM_MODEL_VARIANT``.
        caption: ``json`` sends the structured caption the model was trained on, ``plain`` the instruction as NVIDIA's
            NIM examples do.
    """

    variant: str = "general"
    caption: str = "json"

    def __post_init__(self) -> None:
        super().__post_init__()
        for option, value, allowed in (("variant", self.variant, _VARIANTS), ("caption", self.caption, _CAPTIONS)):
            if value not in allowed:
                raise ConfigError(f"{option} '{value}' is not one of {', '.join(allowed)}", where="world_model nim")


def capabilities(options: NimOptions) -> Capabilities:
    """Return what the container's variant can do."""
    if options.variant == "general":
        return Capabilities(
            modes=frozenset(Mode), domains=_DOMAINS, chunk_sizes=POSE_CHUNK_SIZES, settings=NIM_SETTINGS
        )
    return Capabilities(
        modes=frozenset({Mode.POLICY}),
        domains=frozenset({POLICY_DROID_DOMAIN}),
        chunk_sizes=(POLICY_DROID_CHUNK,),
        needs_state=True,
        returns_frames=False,
        action_space=ActionSpace.JOINT,
        settings=NIM_SETTINGS,
        negative_prompt=False,
    )


BACKEND = Backend(
    name="nim",
    summary="Cosmos3-Nano or Nano-DROID behind NVIDIA NIM's `/v1/infer`",
    options=NimOptions,
    capabilities=capabilities,
    implementation="cosmos_ros.world_models.remote.nim:Nim",
    packages=("aiohttp>=3.9", "av>=12"),
    examples={
        "nim": {"model": "http://localhost:8000"},
        "nim nano-droid": {"model": "http://localhost:8000", "variant": "nano-droid"},
    },
)
