"""The caption, letter by letter."""

from __future__ import annotations

import json

import pytest
from robots import NAMES, embodiment, images, observation

from cosmos_ros.embodiment import build_prompt
from cosmos_ros.errors import ConfigError
from cosmos_ros.types import Mode, Observation

EGO = "This video is captured from a first-person perspective looking at the scene."
THIRD = "This video is captured from a third-person perspective looking towards the agent from the front."
WRIST = "This video is captured from a wrist-mounted camera."
CONCAT = "This video contains concatenated views from multiple camera perspectives."
DROID = (
    f"{CONCAT} The top row is from the wrist-mounted camera. The bottom row contains two horizontally concatenated "
    "third-person perspective views of the scene from opposite sides, with the robot visible."
)
ROBOMIND = (
    f"{CONCAT} The top row shows a third-person perspective looking towards the single-arm Franka robot from above. "
    "The bottom-left view looks at the scene from the left side, and the bottom-right view looks at the scene from the "
    "right side."
)
DUAL = (
    f"{CONCAT} The top row shows a third-person perspective looking towards the dual-arm Franka robot from the front. "
    "The bottom-left view looks at the scene from the left side, and the bottom-right view looks at the scene from the "
    "right side."
)
AGIBOT = (
    f"{CONCAT} The top row shows the head-mounted camera view looking down at the workspace. The bottom row contains "
    "two horizontally concatenated wrist-mounted camera views: the left hand camera on the left and the right hand "
    "camera on the right."
)

# framing, end of the action, duration, fps, height, width, aspect: worked out by hand from T, the rate and the tier.
EXPECTED = {
    "franka": (DROID, "0:01", "1s", 15.0, 544, 736, "4,3"),
    "franka_fr3": (DROID, "0:01", "1s", 15.0, 544, 736, "4,3"),
    "franka_joint": (DROID, "0:02", "2s", 15.0, 544, 736, "4,3"),
    "franka_exterior": (THIRD, "0:01", "1s", 15.0, 480, 832, "16,9"),
    "franka_robomind": (ROBOMIND, "0:02", "1s", 10.0, 640, 640, "1,1"),
    "franka_fr3_robomind": (ROBOMIND, "0:02", "1s", 10.0, 640, 640, "1,1"),
    "franka_dual": (DUAL, "0:02", "1s", 10.0, 640, 640, "1,1"),
    **{f"ur{n}": (THIRD, "0:02", "1s", 10.0, 544, 736, "4,3") for n in ("3e", "5e", "10e", "16e", "20", "30")},
    "widowx250s": (EGO, "0:03", "3s", 5.0, 544, 736, "4,3"),
    "agibot_g1": (AGIBOT, "0:02", "1s", 10.0, 640, 640, "1,1"),
    "umi": (WRIST, "0:02", "1s", 10.0, 640, 640, "1,1"),
    "google_robot": (EGO, "0:06", "5s", 3.0, 544, 736, "4,3"),
    "av": (EGO, "0:06", "6s", 10.0, 480, 832, "16,9"),
    "camera_pose": (EGO, "0:02", "2s", 30.0, 480, 832, "16,9"),
}
# Image sizes of the training data where they are not 640x480.
SIZES = {
    "franka": (360, 640), "franka_fr3": (360, 640), "franka_joint": (360, 640), "franka_exterior": (360, 640),
    "widowx250s": (256, 320), "google_robot": (256, 320), "umi": (256, 256), "av": (720, 1280),
    "camera_pose": (720, 1280),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_caption_of_every_embodiment(name):
    robot = embodiment(name)
    seen = observation(robot)
    pictures = images(robot, *SIZES.get(name, (480, 640)))
    seen = Observation(**{**seen.__dict__, "images": pictures})
    framing, end, duration, fps, height, width, aspect = EXPECTED[name]
    expected = (
        f'{{"cinematography": {{"framing": "{framing}"}}, '
        f'"actions": [{{"time": "0:00-{end}", "description": "pick up the red cube."}}], '
        f'"duration": "{duration}", "fps": {fps}, '
        f'"resolution": {{"H": {height}, "W": {width}}}, "aspect_ratio": "{aspect}"}}'
    )
    assert robot.build_request(seen, Mode.POLICY).prompt == expected


def caption(instruction="go", frames=17, fps=10.0, **options):
    return json.loads(
        build_prompt(instruction, view_point="ego_view", frames=frames, fps=fps, height=544, width=736, **options)
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("pick it up", "pick it up."),
        ("  pick it up.  ", "pick it up."),
        ("Stop!", "Stop!"),
        ("where?", "where?"),
        ("", ""),
        ('say "hi"', 'say "hi".'),
    ],
)
def test_instructions_end_as_sentences(given, expected):
    assert caption(given)["actions"][0]["description"] == expected


@pytest.mark.parametrize(
    ("frames", "fps", "end", "duration"),
    [
        (33, 15.0, "0:00-0:02", "2s"),  # 2.2 s, as published for Policy-DROID
        (17, 10.0, "0:00-0:02", "1s"),  # 1.7 s: the end is rounded, the duration cut
        (5, 2.0, "0:00-0:02", "2s"),  # 2.5 s: halves round to even
        (7, 2.0, "0:00-0:04", "3s"),
        (2, 30.0, "0:00-0:00", "0s"),
        (1261, 20.0, "0:00-1:03", "63s"),
    ],
)
def test_times_are_rounded_as_in_training(frames, fps, end, duration):
    got = caption(frames=frames, fps=fps)
    assert (got["actions"][0]["time"], got["duration"]) == (end, duration)


def test_letters_beyond_ascii_are_escaped_as_json_does_by_default():
    text = build_prompt("Öffne", view_point="ego_view", frames=17, fps=10.0, height=544, width=736)
    assert "\\u00d6ffne." in text


def test_unknown_view_points_and_sizes_are_refused():
    with pytest.raises(ConfigError, match=r"side_view.*ego_view"):
        build_prompt("go", view_point="side_view", frames=17, fps=10.0, height=544, width=736)
    with pytest.raises(ConfigError, match="positive"):
        caption(fps=0.0)
