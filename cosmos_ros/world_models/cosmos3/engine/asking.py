"""Requests in the engine's terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosmos_ros.embodiment.canvas import tier_size
from cosmos_ros.types import Mode, Request, UInt8Array
from cosmos_ros.world_models.cosmos3.engine.engine import Question
from cosmos_ros.world_models.sampler_settings import SamplerSettings


def question(pipeline: Any, request: Request, sampler: SamplerSettings, height: int, width: int) -> Question:
    """Return a request in the engine's terms.

    Args:
        pipeline: ``Cosmos3Pipeline``; it tokenizes.
        request: Checked request.
        sampler: Its resolved settings.
        height, width: What of the picture is used, from the top left.
    """
    from diffusers.pipelines.cosmos.pipeline_cosmos3_omni import (
        _EMBODIMENT_TO_DOMAIN_ID,
        _EMBODIMENT_TO_RAW_ACTION_DIM,
    )

    pictures: UInt8Array
    if request.mode is Mode.INVERSE_DYNAMICS:
        assert request.video is not None
        pictures = request.video
    else:
        assert request.image is not None
        pictures = request.image[None]
    size = tier_size(height, width, request.resolution_tier)
    prompt, negative = pipeline.tokenize_prompt(
        request.prompt if pipeline.whole_caption else request.instruction,
        request.negative_prompt,
        num_frames=request.chunk_size + 1,
        height=size.height,
        width=size.width,
        fps=request.fps,
        use_system_prompt=sampler.use_system_prompt,
        action_mode=request.mode.value,
        action_view_point=request.view_point,
    )
    actions = None if request.mode is not Mode.FORWARD_DYNAMICS else np.asarray(request.actions, dtype=np.float32)
    return Question(
        mode=request.mode,
        pictures=pictures[:, :height, :width],
        chunk_size=request.chunk_size,
        domain=_EMBODIMENT_TO_DOMAIN_ID[request.domain_name],
        action_dim=_EMBODIMENT_TO_RAW_ACTION_DIM[request.domain_name],
        resolution_tier=request.resolution_tier,
        fps=request.fps,
        seed=request.seed,
        prompt=tuple(prompt),
        negative_prompt=tuple(negative),
        actions=actions,
        steps=sampler.num_inference_steps,
        guidance=sampler.guidance_scale,
    )
