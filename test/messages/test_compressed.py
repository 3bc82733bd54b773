from __future__ import annotations

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_ros.errors import InputError
from cosmos_ros.messages import check_compressed, compress, decode_compressed


def smooth(height: int = 48, width: int = 64) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)], -1).astype(np.uint8)


def message(data: bytes, text: str = "jpeg") -> SimpleNamespace:
    return SimpleNamespace(format=text, data=np.frombuffer(data, np.uint8))


def test_png_is_exact_and_jpeg_is_close_in_the_right_channel_order() -> None:
    pixels = smooth()
    np.testing.assert_array_equal(decode_compressed(message(compress(pixels, image_format="png"), "png")), pixels)
    decoded = decode_compressed(message(compress(pixels, quality=95)))
    assert np.abs(decoded.astype(int) - pixels).max() <= 12


def test_an_opencv_that_cannot_write_rgb_gives_the_same_pixels(monkeypatch) -> None:
    jpeg = message(compress(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)))
    with_it = decode_compressed(jpeg)
    monkeypatch.delattr(cv2, "IMREAD_COLOR_RGB", raising=False)
    np.testing.assert_array_equal(decode_compressed(jpeg), with_it)


def test_grey_becomes_three_channels() -> None:
    grey = smooth()[..., 0]
    decoded = decode_compressed(message(compress(grey, image_format="png")))
    np.testing.assert_array_equal(decoded, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("text", "swapped"),
    [("jpeg", False), ("rgb8; jpeg compressed bgr8", False), ("bgr8; png compressed rgb8", True), ("png", False)],
)
def test_channel_order_that_image_transport_names(text: str, swapped: bool) -> None:
    pixels = smooth()
    order = cv2.COLOR_RGB2BGR if not swapped else None
    encoded = cv2.imencode(".png", pixels if order is None else cv2.cvtColor(pixels, order))[1].tobytes()
    np.testing.assert_array_equal(decode_compressed(message(encoded, text)), pixels)


def test_the_payload_decides_not_the_format_text() -> None:
    pixels = smooth()
    np.testing.assert_array_equal(decode_compressed(message(compress(pixels, image_format="png"), "jpeg")), pixels)


def test_orientation_tags_do_not_turn_the_image() -> None:
    jpeg = compress(smooth())
    tag = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tag) + 2) + tag + jpeg[2:]
    assert decode_compressed(message(turned)).shape == (48, 64, 3)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_every_truncation_is_found(kind: str) -> None:
    whole = compress(smooth(), image_format=kind)
    cuts = {0, 1, 2, 3, 8, 20, 30, len(whole) // 4, len(whole) // 2, len(whole) - 100, len(whole) - 20, len(whole) - 2}
    for cut in sorted(cuts):
        with pytest.raises(InputError, match=r"truncated|empty|neither|corrupt"):
            decode_compressed(message(whole[:cut]), topic="cam")
    if kind == "jpeg":
        padded = whole + bytes(300)
        assert decode_compressed(message(padded)).shape == (48, 64, 3)


def test_an_end_marker_of_a_thumbnail_does_not_hide_a_truncation() -> None:
    whole = compress(smooth())
    thumbnail = compress(smooth(8, 8))
    tagged = whole[:2] + b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + whole[2:]
    assert decode_compressed(message(tagged)).shape == (48, 64, 3)
    with pytest.raises(InputError, match="truncated"):
        decode_compressed(message(tagged[: len(tagged) - 40]))


def test_absurd_sizes_are_refused_before_decoding() -> None:
    png = bytearray(compress(smooth(), image_format="png"))
    png[16:24] = struct.pack(">II", 60_000, 60_000)
    with pytest.raises(InputError, match="megapixels"):
        check_compressed(message(bytes(png), "png"))
    jpeg = bytearray(compress(smooth()))
    place = jpeg.index(b"\xff\xc0")
    jpeg[place + 5 : place + 9] = struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(InputError, match="megapixels"):
        check_compressed(message(bytes(jpeg)))
    jpeg[place + 5 : place + 9] = struct.pack(">HH", 0, 64)
    with pytest.raises(InputError, match="empty"):
        check_compressed(message(bytes(jpeg)))


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10_000), flips=st.integers(1, 40), kind=st.sampled_from(["jpeg", "png"]))
def test_damaged_bytes_give_an_input_error_or_an_image(seed: int, flips: int, kind: str) -> None:
    data = np.frombuffer(compress(smooth(), image_format=kind), np.uint8).copy()
    rng = np.random.default_rng(seed)
    data[rng.integers(0, len(data), flips)] = rng.integers(0, 256, flips)
    try:
        decoded = decode_compressed(message(data.tobytes(), kind))
    except InputError:
        return
    assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3


@pytest.mark.parametrize(
    ("data", "text", "match"),
    [
        (b"", "jpeg", "empty"),
        (b"BM" + bytes(100), "bmp", "neither JPEG nor PNG"),
        (b"\xff\xd8\xff\xe0", "jpeg", "truncated"),
        (compress(smooth(), image_format="png"), "16UC1; compressedDepth png", "not a colour image"),
    ],
)
def test_refusals_name_the_topic(data: bytes, text: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        decode_compressed(message(data, text), topic="wrist")
    assert caught.value.where.startswith("wrist")


@pytest.mark.parametrize(
    "arguments",
    [{"image_format": "webp"}, {"quality": 0}, {"quality": 101}],
)
def test_compress_refuses_what_it_cannot_do(arguments) -> None:
    with pytest.raises(InputError):
        compress(smooth(), **arguments)
    with pytest.raises(InputError):
        compress(smooth().astype(np.float32))
