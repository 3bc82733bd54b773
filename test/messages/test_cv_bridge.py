"""cv_bridge as the converter of raw images: a stand-in and broken ones everywhere, the real one where it is."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.messages import decode_image
from cosmos_ros.messages.cv_bridge_images import CONVERTERS, BridgeImage, ImageConversion, cv_bridge_problem
from cosmos_ros.messages.images import ENCODINGS

HERE = Path(__file__).parent
STAND_IN = HERE / "cv_bridge_stand_in"
# Encodings that cv_bridge converts to rgb8 and that the built-in converter has as well.
SHARED = [
    "rgb8", "bgr8", "rgba8", "bgra8", "mono8", "rgb16", "bgr16", "rgba16", "bgra16", "mono16", "yuv422", "yuv422_yuy2",
    *(f"bayer_{pattern}{depth}" for pattern in ("rggb", "bggr", "gbrg", "grbg") for depth in (8, 16)),
]  # fmt: skip


def image(encoding: str, *, padding: int = 0, big: bool = False, height: int = 6, width: int = 8) -> SimpleNamespace:
    layout = ENCODINGS[encoding]
    dtype = np.dtype(f"{'>' if big else '<'}u{layout.depth // 8}")
    samples = np.random.default_rng(7).integers(0, 2**layout.depth, (height, width * layout.channels)).astype(dtype)
    rows = np.pad(samples.view(np.uint8), [(0, 0), (0, padding)], constant_values=0xA5)
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, is_bigendian=int(big), step=rows.shape[1], data=rows.tobytes()
    )


INSTALLED = importlib.util.find_spec("cv_bridge") is not None


@pytest.fixture(params=["stand-in", *(["installed"] if INSTALLED else [])])
def bridge(request, monkeypatch):
    """Return a CvBridge: of the installation, or the stand-in's."""
    if request.param == "installed":
        return pytest.importorskip("cv_bridge").CvBridge()
    monkeypatch.syspath_prepend(str(STAND_IN))
    monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
    import cv_bridge

    assert Path(cv_bridge.__file__).is_relative_to(STAND_IN)
    made = cv_bridge.CvBridge()
    sys.modules.pop("cv_bridge")
    return made


@pytest.mark.parametrize("encoding", SHARED)
@pytest.mark.parametrize(("padding", "big"), [(0, False), (4, False), (7, True)])
def test_cv_bridge_and_the_built_in_converter_agree(bridge, encoding, padding, big) -> None:
    message = image(encoding, padding=padding, big=big)
    BridgeImage(message, bridge).check(topic="cam")
    np.testing.assert_array_equal(BridgeImage(message, bridge).decode(topic="cam"), decode_image(message))


def test_cv_bridge_takes_ros_messages(bridge) -> None:
    image_class = pytest.importorskip("sensor_msgs.msg", reason="needs ROS 2").Image
    message = image_class(**vars(image("bgr8", padding=4)))
    np.testing.assert_array_equal(BridgeImage(message, bridge).decode(topic="cam"), decode_image(message))
    assert BridgeImage(message, bridge).header is message.header


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoding": "32FC1", "step": 32, "data": bytes(192)}, "cv_bridge cannot convert 32FC1: .*color"),
        ({"encoding": "no_such"}, "cv_bridge does not know 'no_such'"),
        ({"step": 23}, "step 23 is not that of a row of 24 bytes"),
        ({"step": 2**31}, "step 2147483648 is not that of"),
        ({"data": bytes(10)}, "truncated: 10 bytes of 144"),
        ({"data": 5}, "data is not a sequence of bytes"),
        ({"height": 0}, "the image is empty"),
        ({"width": 2**31, "step": 3 * 2**31}, "megapixels"),
        ({"is_bigendian": None, "height": None}, "not a sensor_msgs/Image"),
    ],
)
def test_what_cannot_be_converted_is_an_input_error(bridge, changes, words) -> None:
    message = SimpleNamespace(**(vars(image("bgr8")) | changes))
    with pytest.raises(InputError, match=words) as caught:
        BridgeImage(message, bridge).decode(topic="cam")
    assert str(caught.value).startswith("cam")


def test_the_choice_is_declared() -> None:
    assert ImageConversion().image_converter == "auto"
    with pytest.raises(ConfigError, match="auto, builtin, cv_bridge"):
        ImageConversion(image_converter="opencv")


# In a process of its own, with the cv_bridge that PYTHONPATH gives: who converts which encoding, and what is said.
CHOICES = """
import json, sys
from types import SimpleNamespace
from cosmos_ros.messages.cv_bridge_images import BridgeImage, ImageConversion, ImageConverter
lines = []
converter = ImageConverter(ImageConversion(image_converter=sys.argv[1]), lines.append)
who = {}
for encoding in sys.argv[2:]:
    prepared = converter.prepare(SimpleNamespace(encoding=encoding))
    who[encoding] = "cv_bridge" if isinstance(prepared, BridgeImage) else "builtin"
print(json.dumps({"who": who, "lines": lines}))
"""


def choices(choice: str, folder: Path | None, *encodings: str) -> tuple[dict[str, str], list[str]]:
    environment = dict(os.environ)
    if folder is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", CHOICES, choice, *encodings],
        env=environment, cwd=HERE.parents[1], capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    return answer["who"], answer["lines"]


def newer(folder: Path) -> Path:
    """Write a cv_bridge that converts an encoding which the built-in converter has not."""
    (folder / "cv_bridge").mkdir()
    text = (STAND_IN / "cv_bridge/__init__.py").read_text()
    assert '"mono": ("GRAY", 1)' in text
    (folder / "cv_bridge/__init__.py").write_text(
        text.replace('"mono": ("GRAY", 1)', '"mono": ("GRAY", 1), "grey": ("GRAY", 1)')
    )
    return folder


ASKED = ("rgb8", "8UC3", "nv12", "32FC1", "grey8", "nonsense")


@pytest.mark.parametrize(
    ("choice", "theirs"), [("builtin", set()), ("auto", {"grey8"}), ("cv_bridge", {"rgb8", "grey8"})]
)
def test_who_converts_what(tmp_path, choice, theirs) -> None:
    who, lines = choices(choice, newer(tmp_path), *ASKED)
    assert lines == []
    assert {encoding for encoding, name in who.items() if name == "cv_bridge"} == theirs


def test_names_without_end_are_not_all_tried(tmp_path) -> None:
    who, _ = choices("auto", newer(tmp_path), *(f"name{i}" for i in range(100)), "grey8")
    assert set(who.values()) == {"builtin"}


def test_an_encoding_of_cv_bridge_alone_is_decoded(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(newer(tmp_path)))
    monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
    import cv_bridge

    message = image("mono8", padding=3)
    expected = decode_image(message)
    message.encoding = "grey8"
    with pytest.raises(InputError, match="encoding 'grey8' is not supported"):
        decode_image(message)
    np.testing.assert_array_equal(BridgeImage(message, cv_bridge.CvBridge()).decode(topic="cam"), expected)
    sys.modules.pop("cv_bridge")


# How a cv_bridge that was built against another NumPy fails, by its version and by NumPy's.
BROKEN = {
    "raises ImportError": (
        "import sys\nprint('A module that was compiled using NumPy 1.x cannot be run in NumPy 2', file=sys.stderr)\n"
        "raise ImportError('numpy.core.multiarray failed to import')",
        "ImportError: numpy.core.multiarray failed to import",
    ),
    "raises AttributeError": ("raise AttributeError('_ARRAY_API not found')", "AttributeError: _ARRAY_API not found"),
    "fails when used": (
        "class CvBridge:\n    def imgmsg_to_cv2(self, message, desired_encoding):\n"
        "        from cv_bridge.boost.cv_bridge_boost import getCvType",
        "No module named 'cv_bridge.boost'",
    ),
    "ends the process": ("import os\nos.abort()", "it ends the process (status -6)"),
    "answers wrong": (
        "import numpy\nclass CvBridge:\n    def imgmsg_to_cv2(self, message, desired_encoding):\n"
        "        return numpy.zeros((1, 2, 3), numpy.uint8)",
        "bgr8 became [[[0, 0, 0], [0, 0, 0]]]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "kind"),
    [*(("auto", kind) for kind in BROKEN), *((choice, "ends the process") for choice in CONVERTERS[1:])],
)
def test_a_broken_cv_bridge_is_one_line_and_the_built_in_converter_goes_on(tmp_path, kind, choice) -> None:
    text, why = BROKEN[kind]
    (tmp_path / "cv_bridge").mkdir()
    (tmp_path / "cv_bridge/__init__.py").write_text(text)
    who, lines = choices(choice, tmp_path, *ASKED)
    assert set(who.values()) == {"builtin"}
    if choice == "builtin":
        assert lines == []
        return
    (line,) = lines
    assert "\n" not in line and why in line
    assert line.startswith("cv_bridge is broken here, perhaps built against another NumPy than ")
    assert line.endswith("; the built-in converter is used")


@pytest.mark.skipif(INSTALLED, reason="cv_bridge is installed")
@pytest.mark.parametrize("choice", CONVERTERS)
def test_a_missing_cv_bridge_is_told_only_when_it_was_asked_for(choice) -> None:
    who, lines = choices(choice, None, *ASKED)
    assert set(who.values()) == {"builtin"}
    said = ["cv_bridge is not installed; the built-in converter is used"] if choice == "cv_bridge" else []
    assert lines == said


@pytest.mark.skipif(not INSTALLED, reason="cv_bridge is part of a ROS installation, not of the wheels")
def test_the_installed_cv_bridge_works() -> None:
    assert cv_bridge_problem() is None
