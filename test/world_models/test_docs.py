"""The table in docs/reference/world_models.md is what the backends declare."""

from __future__ import annotations

from pathlib import Path

from cosmos_ros.embodiment import list_embodiments, load_embodiment
from cosmos_ros.types import ActionSpace, Mode
from cosmos_ros.world_models.compatibility_table import backends_markdown, markdown, options_markdown, survey
from cosmos_ros.world_models.sampler_settings import default_sampler

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reference" / "world_models.md"


def test_table_of_embodiments_is_current():
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.split("<!-- table -->\n")[1].split("\n<!-- /table -->")[0]
    expected = markdown(survey([load_embodiment(name) for name in list_embodiments()]))
    assert table == expected, "run `cosmos-ros world-models` and put its output between the marks"


def test_table_of_backends_is_current():
    table = DOCUMENT.read_text(encoding="utf-8").split("<!-- backends -->\n")[1].split("\n<!-- /backends -->")[0]
    assert table == backends_markdown(), "put cosmos_ros.world_models.compatibility_table.backends_markdown() there"


def test_table_of_options_is_current():
    table = DOCUMENT.read_text(encoding="utf-8").split("<!-- options -->\n")[1].split("\n<!-- /options -->")[0]
    assert table == options_markdown(), "put cosmos_ros.world_models.compatibility_table.options_markdown() there"


def test_table_of_settings_is_current():
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = {
        "policy": default_sampler(Mode.POLICY, "fractal"),
        "forward and inverse dynamics": default_sampler(Mode.FORWARD_DYNAMICS, "fractal"),
        "joint policy (Policy-DROID)": default_sampler(Mode.POLICY, "droid_lerobot", ActionSpace.JOINT),
    }
    for label, sampler in rows.items():
        start = f"| {label} | {sampler.num_inference_steps} | {sampler.guidance_scale:g} | {sampler.flow_shift:g}"
        assert start in text
    assert default_sampler(Mode.INVERSE_DYNAMICS, "camera_pose").flow_shift == 5.0
