from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_ros.errors import InputError
from cosmos_ros.messages import check_image, decode_image
from cosmos_ros.messages.images import ENCODINGS

DTYPES = {8: np.uint8, 16: np.uint16, 32: np.float32}


def make(pixels: np.ndarray, encoding: str, *, padding: int = 0, big: bool = False, **changes) -> SimpleNamespace:
    """A message with these samples [rows, W, C], whatever they mean."""
    rows = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">" if big else "<"))
    rows = rows.reshape(len(rows), -1).view(np.uint8)
    rows = np.pad(rows, [(0, 0), (0, padding)], constant_values=0xA5)
    fields = {
        "height": pixels.shape[0], "width": pixels.shape[1], "encoding": encoding, "is_bigendian": int(big),
        "step": rows.shape[1], "data": rows.tobytes(),
    }  # fmt: skip
    return SimpleNamespace(**(fields | changes))


def random(height: int, width: int, channels: int, depth: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**depth, (height, width, channels), dtype=DTYPES[depth])


def eight(pixels: np.ndarray) -> np.ndarray:
    """The definition: v * 255 / 65535, rounded."""
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels * (255.0 / 65535.0)).astype(np.uint8)


COLOURS = {
    "rgb8": (3, [0, 1, 2]), "bgr8": (3, [2, 1, 0]), "8UC3": (3, [2, 1, 0]), "rgba8": (4, [0, 1, 2]),
    "bgra8": (4, [2, 1, 0]), "8UC4": (4, [2, 1, 0]), "mono8": (1, [0, 0, 0]), "8UC1": (1, [0, 0, 0]),
    "mono16": (1, [0, 0, 0]), "rgb16": (3, [0, 1, 2]), "bgr16": (3, [2, 1, 0]), "rgba16": (4, [0, 1, 2]),
    "bgra16": (4, [2, 1, 0]),
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from(sorted(COLOURS)),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    padding=st.integers(0, 7),
    big=st.booleans(),
    extra=st.integers(0, 5),
    seed=st.integers(0, 1000),
)
def test_colour_encodings_are_exact(encoding, height, width, padding, big, extra, seed) -> None:
    channels, order = COLOURS[encoding]
    depth = ENCODINGS[encoding].depth
    pixels = random(height, width, channels, depth, seed)
    message = make(pixels, encoding, padding=padding, big=big)
    message.data += b"\x5a" * extra
    decoded = decode_image(message)
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, eight(pixels)[..., order])


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_put_the_colours_where_they_belong(pattern: str, depth: int) -> None:
    colour = {"r": 200, "g": 90, "b": 20}
    tile = np.array([[colour[pattern[0]], colour[pattern[1]]], [colour[pattern[2]], colour[pattern[3]]]])
    mosaic = np.tile(tile, (4, 5)).astype(DTYPES[depth])
    if depth == 16:
        mosaic *= 257
    decoded = decode_image(make(mosaic[..., None], f"bayer_{pattern}{depth}", padding=3, big=depth == 16))
    assert decoded.shape == (8, 10, 3)
    np.testing.assert_array_equal(decoded[2:-2, 2:-2], np.broadcast_to([200, 90, 20], (4, 6, 3)))


def yuv_planes(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Studio-swing BT.601 luma and chroma of an image that is constant in 2 x 2 blocks."""
    yuv420 = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    height, width = rgb.shape[:2]
    chroma = yuv420[height:].reshape(2, height // 2, width // 2)
    return yuv420[:height], chroma


@pytest.mark.parametrize("encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2", "nv12", "nv21"])
def test_yuv_encodings(encoding: str) -> None:
    blocks = np.random.default_rng(3).integers(30, 220, (3, 4, 3), dtype=np.uint8)
    rgb = blocks.repeat(2, axis=0).repeat(2, axis=1)
    luma, (u, v) = yuv_planes(rgb)
    if encoding in ("nv12", "nv21"):
        first, second = (u, v) if encoding == "nv12" else (v, u)
        data = np.vstack([luma, np.stack([first, second], axis=-1).reshape(3, 8)])
        message = make(data[..., None], encoding, padding=2, height=6)
    else:
        u, v = u.repeat(2, axis=0), v.repeat(2, axis=0)
        pair = [u, luma[:, 0::2], v, luma[:, 1::2]]
        if encoding in ("yuyv", "yuv422_yuy2"):
            pair = [luma[:, 0::2], u, luma[:, 1::2], v]
        message = make(np.stack(pair, axis=-1).reshape(6, 8, 2), encoding, padding=2)
    error = np.abs(decode_image(message).astype(int) - rgb)
    assert error.max() <= 4


def test_list_and_array_data_are_read_too() -> None:
    from array import array

    pixels = random(2, 3, 3)
    for data in (list(pixels.tobytes()), array("B", pixels.tobytes()), bytearray(pixels.tobytes()), pixels.reshape(-1)):
        np.testing.assert_array_equal(decode_image(make(pixels, "rgb8", data=data)), pixels)


@pytest.mark.parametrize(
    ("changes", "place", "text"),
    [
        ({"encoding": "rgb9"}, "cam encoding", "'rgb9' is not supported"),
        ({"encoding": ""}, "cam encoding", "not supported"),
        ({"encoding": "16UC1", "step": 12}, "cam encoding", "depth image"),
        ({"width": 0}, "cam width", "empty"),
        ({"height": 0}, "cam width", "empty"),
        ({"height": 2**31, "width": 2**31}, "cam width", "megapixels"),
        ({"step": 17}, "cam step", "less than a row"),
        ({"step": 0}, "cam step", "less than a row"),
        ({"step": 2**32 - 1}, "cam", "truncated"),
        ({"data": b""}, "cam data", "truncated: 0 bytes of 72"),
        ({"data": bytes(71)}, "cam data", "truncated: 71 bytes of 72"),
        ({"data": None}, "cam", "not a sensor_msgs/Image"),
        ({"data": "half an image" * 9}, "data", "not a sequence of bytes"),
        ({"encoding": "nv12", "data": bytes(107), "step": 18, "height": 4}, "cam data", "107 bytes of 108"),
        ({"encoding": "nv12", "data": bytes(500), "height": 3, "width": 6}, "cam width", "odd"),
        ({"encoding": "yuyv", "width": 5}, "cam width", "odd"),
        ({"encoding": "bayer_rggb8", "height": 1}, "cam width", "2 x 2"),
    ],
)
def test_malformed_images_are_refused_with_topic_and_field(changes, place, text) -> None:
    message = make(random(4, 6, 3), "rgb8")
    vars(message).update(changes)
    with pytest.raises(InputError, match=text) as caught:
        decode_image(message, topic="cam")
    assert place in caught.value.where


def test_not_an_image_at_all() -> None:
    with pytest.raises(InputError, match="not a sensor_msgs/Image"):
        decode_image(SimpleNamespace(text="hello"))


@settings(max_examples=80, deadline=None)
@given(
    encoding=st.sampled_from([*sorted(ENCODINGS), "", "jpeg", "RGB8"]),
    height=st.integers(-1, 2**33),
    width=st.integers(-1, 2**33),
    step=st.integers(-5, 2**33),
    big=st.integers(0, 255),
    data=st.binary(max_size=200),
)
def test_nothing_but_an_input_error_comes_out_of_garbage(encoding, height, width, step, big, data) -> None:
    message = SimpleNamespace(encoding=encoding, height=height, width=width, step=step, is_bigendian=big, data=data)
    try:
        decoded = decode_image(message)
    except InputError:
        return
    assert decoded.shape == (height, width, 3) and decoded.dtype == np.uint8


def test_whole_images_need_no_copy() -> None:
    message = make(random(4, 6, 3), "rgb8")
    message.data = np.frombuffer(message.data, np.uint8)
    assert np.shares_memory(decode_image(message), message.data)
    assert check_image(message).kind == "rgb"
