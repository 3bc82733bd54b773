"""The model card: what a model was made of and every figure that was measured of it; nothing else is written there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cosmos_ros.world_models.compact.manifest import Manifest
from training.evaluate import line_of

_LIMITS = """## Limits

- It was trained on episodes of this package's own simulator and knows nothing else: neither real cameras, nor other
  things, tables, tasks and robots.
- Its instructions are made of the words in the manifest. Words that it does not know are named in each answer.
- Its figures are of the simulator, on seeds that no training saw. They say nothing about a real robot. Those of the
  closed loop are of the network alone, without nodes and guard; `_swapped`: asked for another thing on the same table.
"""


def model_card(
    manifest: Manifest, differences: Mapping[str, float], figures: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> str:
    """Return the card as Markdown.

    Args:
        manifest: Of the exported model.
        differences: Graph → largest relative difference of ONNX Runtime to torch.
        figures: Embodiment → figure → value, n, interval and unit, as they were measured; empty where nothing was.
    """
    size = sum(file.bytes for file in manifest.files.values())
    lines = [
        "# Model card: compact world model",
        "",
        f"Revision `{manifest.revision}`, for {', '.join(manifest.robots)}; {len(manifest.files)} files, "
        f"{size / 1e6:.2f} MB; ONNX opset {manifest.opset}.",
        "",
        "## Training",
        "",
        *(f"- {name}: {value}" for name, value in manifest.trained.items()),
        "",
        "## Export",
        "",
        "Largest difference of ONNX Runtime to torch on random inputs, relative to the largest number of the output: "
        + (f"{max(differences.values()):.1e}." if differences else "not measured."),
        "",
        "## Figures",
        "",
    ]
    for name in manifest.robots:
        measured = figures.get(name, {})
        lines += [f"### {name}", ""]
        lines += (
            ["```text", *(line_of(figure, value) for figure, value in measured.items()), "```"]
            if measured
            else ["Not measured."]
        )
        lines.append("")
    return "\n".join(lines) + "\n" + _LIMITS
