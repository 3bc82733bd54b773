"""diffusers' Cosmos3 pipeline with two things changed: the caption can be given whole, and its stages are timed."""

from __future__ import annotations

import time
from typing import Any

import torch
from diffusers import Cosmos3OmniPipeline


class Cosmos3Pipeline(Cosmos3OmniPipeline):  # type: ignore[misc]  # diffusers ships no types
    """``Cosmos3OmniPipeline`` for action runs.

    Attributes:
        whole_caption: The prompt is the finished JSON caption and is tokenized as it is. The stock pipeline builds
            one itself and cannot add the sentence about the arrangement of the views that the model was trained with.
        marks: Stage → ``time.perf_counter()`` at its end, of the last call.
    """

    whole_caption: bool = False
    marks: dict[str, float]

    def tokenize_prompt(self, prompt: str, negative_prompt: str | None = None, **options: Any) -> Any:
        """Tokenize; without an action mode and templates the parent takes the text verbatim."""
        if self.whole_caption:
            options |= {"action_mode": None, "add_resolution_template": False, "add_duration_template": False}
        return super().tokenize_prompt(prompt, negative_prompt, **options)

    def prepare_latents(self, *args: Any, **options: Any) -> Any:
        """Encode the conditioning and draw the noise."""
        prepared = super().prepare_latents(*args, **options)
        self.mark("encode")
        return prepared

    def mark(self, stage: str) -> None:
        """Note the end of a stage, when the device has really done it."""
        if torch.cuda.is_available() and self.transformer.device.type == "cuda":
            torch.cuda.synchronize()
        self.marks[stage] = time.perf_counter()
