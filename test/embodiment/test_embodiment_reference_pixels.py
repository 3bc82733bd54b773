"""Pixels and captions against the libraries the reference runs on; needs torch and diffusers."""

from __future__ import annotations

import types

import numpy as np
import pytest
from robots import NAMES, embodiment, images

from cosmos_ros.embodiment import build_prompt, fit_to_tier
from cosmos_ros.embodiment.resample import resize_bilinear

pytestmark = pytest.mark.cosmos3

torch = pytest.importorskip("torch", reason="torch is not installed")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

TIERS = (256, 480, 704, 720)
SIZES = [(540, 640), (720, 640), (360, 640), (480, 640), (256, 320), (256, 256), (1080, 1280), (100, 30), (720, 1280)]


def prepared(image, tier):
    """Return diffusers' own conditioning image as 8-bit pixels, and its sizes; not squeezed to multiples of 16."""
    processor = diffusers.video_processor.VideoProcessor(vae_scale_factor=1, resample="bilinear")
    pipeline = types.SimpleNamespace(video_processor=processor)
    frames, size, _, _ = diffusers.Cosmos3OmniPipeline._prepare_action_video_conditioning(
        pipeline, [image_module.fromarray(image)], tier, 1, "cpu", torch.float32
    )
    pixels = (frames[0, :, 0].permute(1, 2, 0).numpy() * 0.5 + 0.5) * 255.0
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), [int(v) for v in size]


def one_for_each_canvas():
    """Return a name for each different canvas among all embodiments."""
    different = {}
    for name in NAMES:
        spec = embodiment(name).spec
        shape = tuple(tuple(spec.cameras[view].divide for view in row) for row in spec.canvas.rows)
        different.setdefault((shape, next(iter(spec.cameras.values())).max_size), name)
    return sorted(different.values())


@pytest.fixture(autouse=True)
def one_thread():
    """With more threads torch takes another bilinear kernel, which differs by one grey level in 1e-4 of the pixels."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", one_for_each_canvas())
def test_canvas_of_every_embodiment_equals_diffusers_preparation(name, tier):
    robot = embodiment(name)
    width, height = robot.spec.cameras[robot.views[0]].max_size or (640, 480)
    canvas = robot.compose(images(robot, height, width, seed=tier))
    expected, sizes = prepared(canvas, tier)
    got, size = fit_to_tier(canvas, tier)
    assert [size.height, size.width, size.content_height, size.content_width] == sizes
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("size", SIZES)
def test_pictures_of_other_sizes_equal_diffusers_preparation(size, tier):
    image = np.random.default_rng(tier).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected, sizes = prepared(image, tier)
    got, fitted = fit_to_tier(image, tier)
    assert [fitted.height, fitted.width, fitted.content_height, fitted.content_width] == sizes
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("source", [(360, 640), (480, 640), (720, 1280), (480, 848), (256, 341), (100, 100)])
def test_composition_resizes_as_the_reference_server(source):
    image = np.random.default_rng(0).integers(0, 256, (*source, 3), dtype=np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    for target in ((180, 320), (240, 320), (128, 128)):
        expected = torch.nn.functional.interpolate(tensor, size=target, mode="bilinear", align_corners=False)
        expected = expected[0].permute(1, 2, 0).numpy().astype(np.uint8)
        np.testing.assert_array_equal(resize_bilinear(image, *target), expected)


@pytest.mark.parametrize("name", NAMES)
def test_captions_equal_diffusers_own(name):
    """diffusers cannot add the view description; without it the captions are the same, letter by letter."""
    spec = embodiment(name).spec
    for instruction in ("pick up the cube", "Stop!", " Öffne die Schublade ", ""):
        for height, width in ((544, 736), (256, 320), (640, 640), (480, 832), (1280, 704)):
            expected = diffusers.Cosmos3OmniPipeline._build_action_json_prompt(
                instruction,
                view_point=spec.prompt.view_point,
                num_frames=spec.chunk_size + 1,
                fps=spec.fps,
                height=height,
                width=width,
            )
            got = build_prompt(
                instruction,
                view_point=spec.prompt.view_point,
                frames=spec.chunk_size + 1,
                fps=spec.fps,
                height=height,
                width=width,
            )
            assert got == expected
