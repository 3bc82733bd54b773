"""Views to canvas, canvas to tier."""

from __future__ import annotations

import gc
from weakref import ref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robots import NAMES, embodiment, images

from cosmos_ros.embodiment import fit_to_tier, load_embodiment, tier_size
from cosmos_ros.embodiment.resample import resize_bilinear
from cosmos_ros.errors import ConfigError, InputError


def slow_half(image):
    """Mean of two by two pixels, cut to a whole number."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    result = np.zeros((height, width, 3), dtype=np.uint8)
    for y in range(height):
        for x in range(width):
            for c in range(3):
                block = image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2, c]
                result[y, x, c] = int(sum(int(v) for v in block.ravel()) / 4)
    return result


def slow_bilinear(image, height, width):
    """Half-pixel centres, no antialiasing."""
    result = np.zeros((height, width, 3))
    for y in range(height):
        for x in range(width):
            sy = max((y + 0.5) * image.shape[0] / height - 0.5, 0.0)
            sx = max((x + 0.5) * image.shape[1] / width - 0.5, 0.0)
            y0, x0 = int(sy), int(sx)
            y1, x1 = min(y0 + 1, image.shape[0] - 1), min(x0 + 1, image.shape[1] - 1)
            fy, fx = sy - y0, sx - x0
            upper = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
            lower = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
            result[y, x] = upper * (1 - fy) + lower * fy
    return result


def test_droid_canvas_has_the_wrist_on_top_and_the_exterior_views_halved_below():
    robot = embodiment("franka")
    pictures = images(robot, 36, 64)
    canvas = robot.compose(pictures)
    assert canvas.shape == (54, 64, 3)
    assert canvas.dtype == np.uint8
    np.testing.assert_array_equal(canvas[:36], pictures["wrist"])
    np.testing.assert_array_equal(canvas[36:, :32], slow_half(pictures["exterior_1"]))
    np.testing.assert_array_equal(canvas[36:, 32:], slow_half(pictures["exterior_2"]))


def test_agibot_canvas_has_left_before_right():
    robot = embodiment("agibot_g1")
    pictures = {"head": 10, "hand_left": 20, "hand_right": 30}
    canvas = robot.compose({view: np.full((48, 64, 3), grey, np.uint8) for view, grey in pictures.items()})
    assert canvas.shape == (72, 64, 3)
    assert {canvas[0, 0, 0], canvas[60, 10, 0], canvas[60, 50, 0]} == {10, 20, 30}
    assert canvas[60, 10, 0] == 20


@pytest.mark.parametrize("name", NAMES)
def test_every_canvas_is_built_from_images_of_its_training_size(name):
    robot = embodiment(name)
    width, height = robot.spec.cameras[robot.views[0]].max_size or (640, 480)
    canvas = robot.compose(images(robot, height, width))
    assert canvas.shape == ((height * 3) // 2 if len(robot.views) == 3 else height, width, 3)


@pytest.mark.parametrize(("source", "target"), [((30, 40), (12, 20)), ((24, 40), (9, 16)), ((10, 10), (18, 32))])
def test_bilinear_equals_the_formula(source, target):
    image = np.random.default_rng(0).integers(0, 256, (*source, 3), dtype=np.uint8)
    got = resize_bilinear(image, *target)
    exact = slow_bilinear(image, *target)
    clear = np.abs(exact - np.rint(exact)) > 1e-4  # where float32 rounding cannot cross a whole number
    np.testing.assert_array_equal(got[clear], np.floor(exact)[clear].astype(np.uint8))
    assert np.abs(got.astype(float) - exact).max() <= 1.0 + 1e-4


def test_side_views_of_another_size_are_brought_to_half_of_the_first():
    robot = embodiment("franka")
    pictures = images(robot, 36, 64)
    pictures["exterior_1"] = np.full((48, 50, 3), 77, np.uint8)
    canvas = robot.compose(pictures)
    assert canvas.shape == (54, 64, 3)
    # Two weights that sum to one a bit short of it are cut a grey level lower, in the reference too.
    assert set(np.unique(canvas[36:, :32])) <= {76, 77}


def test_a_larger_first_view_is_scaled_down_to_the_training_size_and_a_smaller_one_is_not_scaled_up():
    robot = embodiment("franka")
    assert robot.compose(images(robot, 720, 1280)).shape == (540, 640, 3)
    assert robot.compose(images(robot, 480, 640)).shape == (540, 480, 3)
    assert robot.compose(images(robot, 180, 320)).shape == (270, 320, 3)


@pytest.mark.parametrize("name", ["franka", "agibot_g1", "franka_robomind"])
@pytest.mark.parametrize("size", [(720, 1280), (480, 640), (96, 128)])
def test_views_prepared_ahead_give_the_same_canvas(name, size):
    plain = load_embodiment(name)
    robot = load_embodiment(name)
    for seed in range(2):  # the first canvas tells how large the primary view is
        rng = np.random.default_rng(seed)
        pictures = {view: rng.integers(0, 256, (*size, 3), dtype=np.uint8) for view in robot.views}
        for view, picture in reversed(pictures.items()):
            robot.prepare(view, picture)
        expected = plain.compose(pictures)
        np.testing.assert_array_equal(robot.compose(pictures), expected)
        np.testing.assert_array_equal(robot.compose(pictures), expected)


def test_a_primary_view_of_another_size_makes_prepared_side_views_void():
    robot, plain = load_embodiment("franka"), embodiment("franka")
    robot.compose(images(robot, 720, 1280))
    pictures = images(robot, 720, 1280)
    for view, picture in pictures.items():
        robot.prepare(view, picture)
    pictures["wrist"] = np.ascontiguousarray(pictures["wrist"][:360, :640])[:180, :320].copy()
    np.testing.assert_array_equal(robot.compose(pictures), plain.compose(pictures))


def test_prepared_views_go_with_their_pictures():
    robot = load_embodiment("franka")
    robot.compose(images(robot, 720, 1280))
    pictures = images(robot, 720, 1280)
    for view, picture in pictures.items():
        robot.prepare(view, picture)
    parts = [ref(part) for _, _, part in robot._composer._prepared.values()]
    assert len(parts) == 3 and all(part() is not None for part in parts)
    del pictures, picture
    gc.collect()
    assert all(part() is None for part in parts)


def test_what_compose_refuses_is_not_refused_ahead():
    robot = load_embodiment("franka")
    wrong = np.zeros((4, 4), np.uint8)
    robot.prepare("wrist", wrong)
    with pytest.raises(InputError, match="wrist"):
        robot.compose({**images(robot, 36, 64), "wrist": wrong})


def test_videos_are_composed_frame_by_frame():
    robot = embodiment("franka")
    frames = [images(robot, 36, 64, seed=i) for i in range(3)]
    video = robot.compose_video({view: np.stack([frame[view] for frame in frames]) for view in robot.views})
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(video[index], robot.compose(frame))
    with pytest.raises(InputError, match="equal numbers"):
        robot.compose_video({"wrist": video, "exterior_1": video[:2], "exterior_2": video})


@pytest.mark.parametrize(
    ("size", "tier", "expected"),
    [
        ((540, 640), 480, (544, 736, 540, 640)),
        ((540, 640), 256, (256, 320, 256, 303)),
        ((720, 640), 480, (640, 640, 640, 569)),
        ((480, 640), 480, (544, 736, 480, 640)),
        ((256, 320), 480, (544, 736, 256, 320)),
        ((256, 320), 256, (256, 320, 256, 320)),
        ((480, 832), 480, (480, 832, 480, 832)),
        ((720, 1280), 480, (480, 832, 468, 832)),
        ((720, 1280), 720, (720, 1280, 720, 1280)),
        ((720, 1280), 704, (704, 1280, 704, 1252)),
        ((640, 640), 256, (256, 256, 256, 256)),
        ((1280, 720), 256, (320, 192, 320, 180)),
    ],
)
def test_tier_sizes(size, tier, expected):
    got = tier_size(*size, tier)
    assert (got.height, got.width, got.content_height, got.content_width) == expected


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), tier=st.sampled_from([256, 480, 704, 720]))
@settings(max_examples=200, deadline=None)
def test_tiers_never_scale_up_and_content_always_fits(height, width, tier):
    size = tier_size(height, width, tier)
    assert 1 <= size.content_height <= min(height, size.height)
    assert 1 <= size.content_width <= min(width, size.width)
    assert size.height % 16 == size.width % 16 == 0


def test_padding_mirrors_to_the_right_and_the_bottom():
    image = np.random.default_rng(1).integers(0, 256, (540, 640, 3), dtype=np.uint8)
    padded, size = fit_to_tier(image, 480)
    assert padded.shape == (544, 736, 3)
    np.testing.assert_array_equal(padded[:540, :640], image)
    for row in range(540, 544):
        np.testing.assert_array_equal(padded[row, :640], image[538 - (row - 540)])
    for column in range(640, 736):
        np.testing.assert_array_equal(padded[:540, column], image[:, 638 - (column - 640)])
    assert (size.content_height, size.content_width) == (540, 640)


def test_padding_repeats_the_edge_where_the_picture_is_no_larger_than_the_padding():
    image = np.random.default_rng(1).integers(0, 256, (256, 320, 3), dtype=np.uint8)
    padded, _ = fit_to_tier(image, 480)
    np.testing.assert_array_equal(padded[256:, :320], np.broadcast_to(image[-1], (288, 320, 3)))
    np.testing.assert_array_equal(padded[:256, 320:], np.broadcast_to(image[:, -1:], (256, 416, 3)))


def test_videos_are_fitted_frame_by_frame():
    video = np.random.default_rng(2).integers(0, 256, (3, 90, 100, 3), dtype=np.uint8)
    padded, size = fit_to_tier(video, 256)
    for frame, expected in zip(padded, video, strict=True):
        np.testing.assert_array_equal(frame, fit_to_tier(expected, 256)[0])
    assert padded.shape == (3, size.height, size.width, 3)


def test_a_uniform_picture_stays_uniform_when_scaled():
    for grey in (0, 1, 127, 254, 255):
        padded, _ = fit_to_tier(np.full((1000, 900, 3), grey, np.uint8), 256)
        assert set(np.unique(padded)) == {grey}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"exterior_2": None}, InputError, "exterior_2.*no image"),
        ({"wrist": np.zeros((36, 64), np.uint8)}, InputError, r"images\[wrist\].*RGB"),
        ({"wrist": np.zeros((36, 64, 4), np.uint8)}, InputError, r"images\[wrist\].*RGB"),
        ({"wrist": np.zeros((36, 64, 3), np.float32)}, InputError, r"images\[wrist\].*uint8.*float32"),
        ({"wrist": np.zeros((0, 64, 3), np.uint8)}, InputError, r"images\[wrist\].*pixels"),
        ({"wrist": np.zeros((36, 63, 3), np.uint8)}, InputError, "width of 63"),
    ],
)
def test_wrong_pictures_are_named(change, error, words):
    robot = embodiment("franka")
    pictures = {**images(robot, 36, 64), **change}
    pictures = {view: picture for view, picture in pictures.items() if picture is not None}
    with pytest.raises(error, match=words):
        robot.compose(pictures)


def test_unknown_tiers_are_refused_with_the_allowed_ones():
    with pytest.raises(ConfigError, match=r"481.*\[256, 480, 704, 720\]"):
        tier_size(480, 640, 481)
