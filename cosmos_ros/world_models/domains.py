"""The action domains that Cosmos3's serving paths know, with the row width each of them fixes."""

from __future__ import annotations

from cosmos_ros.errors import CapabilityError
from cosmos_ros.types import Mode, Request
from cosmos_ros.world_models.protocol import Capabilities
from cosmos_ros.world_models.sampler_settings import SETTINGS

# Name → raw action width. Source: diffusers 0.42 (``pipeline_cosmos3_omni.py``), vLLM-Omni 0.30 has the same.
DOMAINS: dict[str, int] = {
    "av": 9,
    "camera_pose": 9,
    "hand_pose": 57,
    "pusht": 2,
    "umi": 10,
    "bridge_orig_lerobot": 10,
    "droid_lerobot": 10,
    "robomind-franka": 10,
    "robomind-franka-dual": 20,
    "robomind-ur": 10,
    "galbot": 30,
    "agibotworld": 29,
    "agibot_gear_gripper": 29,
    "agibot_gear_gripper_ext": 29,
    "fractal": 10,
}

# The VAE compresses time by four after the first frame, so T + 1 frames come out only when T is a multiple of four.
POSE_CHUNK_SIZES = range(4, 257, 4)

# Cosmos3-Nano-Policy-DROID: seven joints and the gripper, 32 rows at 15 Hz, whatever is asked; its image is the
# wrist view of 640x360 over both exterior views at half that size.
POLICY_DROID_DOMAIN = "droid_lerobot"
POLICY_DROID_WIDTH = 8
POLICY_DROID_CHUNK = 32
POLICY_DROID_SIZE = (540, 640)  # height, width


def check_width(where: str, request: Request) -> None:
    """Refuse rows of another width than the domain's; CapabilityError says what to use instead."""
    width = DOMAINS[request.domain_name]
    if request.action_dim == width:
        return
    joint = request.domain_name == POLICY_DROID_DOMAIN and request.action_dim == POLICY_DROID_WIDTH
    raise CapabilityError(
        f"domain {request.domain_name} has action rows of {width} numbers, the embodiment has {request.action_dim}",
        where=where,
        hint="Joint positions are for world_model:=openpi and for nim with variant nano-droid." if joint else None,
    )


def pose_model_capabilities(frames: bool) -> Capabilities:
    """Return what Cosmos3-Nano can do: all modes of every domain, but forward dynamics only where frames are made."""
    return Capabilities(
        modes=frozenset(Mode) if frames else frozenset({Mode.POLICY, Mode.INVERSE_DYNAMICS}),
        domains=frozenset(DOMAINS),
        chunk_sizes=POSE_CHUNK_SIZES,
        returns_frames=frames,
        settings=SETTINGS,
    )
