from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from world_model_scenes import block_on_table, normalise

from cosmos_ros.errors import InputError
from cosmos_ros.prediction.prediction_log import (
    PredictionLog,
    image_folder,
    read_line,
    replay,
    request_from_record,
    request_to_record,
)
from cosmos_ros.prediction.provenance import digest, to_json
from cosmos_ros.types import Mode, Request
from cosmos_ros.world_models import create_world_model


def ask_and_log(tmp_path, request, name="flow", **options):
    model = create_world_model(name, **options)
    rollout = model.predict(request)
    log = PredictionLog(tmp_path / "predictions.jsonl")
    log.write(
        {
            "world_model": {"name": name, "options": options},
            "digests": {"frames": digest(rollout.frames)},
            "device": "abacus",
        },
        request,
        rollout,
    )
    log.close()
    log.close()
    return model, rollout, log.path


def moving(make_request, **extra):
    past = normalise(np.array([0.01, 0.002, -0.003, 1, 0, 0, 0, 1, 0, 0.3]))
    return make_request(previous_image=block_on_table(54), past_action=past, **extra)


@pytest.mark.parametrize("mode", list(Mode))
def test_request_round_trip_is_exact(make_request, mode):
    request = moving(make_request, mode=mode, negative_prompt="ünscharf", seed=3, settings={"damping": 0.5})
    pictures = {digest(p): p for p in (request.image, request.previous_image, request.video) if p is not None}
    record = json.loads(json.dumps(request_to_record(request)))
    back = request_from_record(record, pictures.__getitem__)
    for field in fields(Request):
        before, after = getattr(request, field.name), getattr(back, field.name)
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(before, after)
            assert before.dtype == after.dtype
        elif field.name != "layout":
            assert before == after, field.name
    np.testing.assert_array_equal(back.layout.scale, request.layout.scale)


def test_replay_gives_the_same(make_request, tmp_path):
    model, rollout, path = ask_and_log(tmp_path, moving(make_request))
    record, found = read_line(str(path))
    again = replay(record, model, image_folder(found))
    assert again.same
    assert again.largest_difference == 0.0
    np.testing.assert_array_equal(again.rollout.actions, rollout.actions)


def test_replay_notices_another_model(make_request, tmp_path):
    _, _, path = ask_and_log(tmp_path, moving(make_request))
    record, _ = read_line(str(path))
    again = replay(record, create_world_model("flow", damping=0.2), image_folder(path))
    assert not again.same
    assert again.largest_difference > 1e-3


def test_replay_names_changed_surroundings(make_request, tmp_path):
    class Elsewhere:
        name = "flow"
        capabilities = create_world_model("flow").capabilities
        inner = create_world_model("flow")

        def predict(self, request):
            rollout = self.inner.predict(request)
            return replace(rollout, provenance={**rollout.provenance, "device": "slide rule"})

    _, _, path = ask_and_log(tmp_path, moving(make_request))
    record, _ = read_line(str(path))
    again = replay(record, Elsewhere(), image_folder(path))
    assert again.changed == ("device: abacus → slide rule",)
    assert not again.same_expected


def test_only_deterministic_models_are_expected_to_give_the_same(make_request, tmp_path):
    model, _, path = ask_and_log(tmp_path, moving(make_request))
    record, _ = read_line(str(path))
    assert replay(record, model, image_folder(path)).same_expected
    model.capabilities = replace(model.capabilities, deterministic=False)
    assert not replay(record, model, image_folder(path)).same_expected


def test_a_clip_is_kept_whole(make_request, tmp_path):
    request = make_request(Mode.INVERSE_DYNAMICS)
    model, _, path = ask_and_log(tmp_path, request, "persistence")
    record, _ = read_line(str(path))
    assert len(list(image_folder(path).glob("*.png"))) == 1
    assert replay(record, model, image_folder(path)).same


def test_held_pictures_are_kept_once_and_the_folder_is_bounded(make_request, tmp_path):
    request = make_request()
    rollout = create_world_model("persistence").predict(request)
    log = PredictionLog(tmp_path / "log.jsonl", max_image_bytes=1)
    for image in (request.image, request.image, block_on_table(90)):
        log.write({}, replace(request, image=image), rollout)
    log.close()
    assert len(list(image_folder(log.path).glob("*.png"))) == 1
    kept = [json.loads(line)["pictures"] for line in log.path.read_text().splitlines()]
    assert kept == [True, False, False]
    again = PredictionLog(log.path, images=False)
    again.write({}, request, rollout)
    again.close()
    assert len(log.path.read_text().splitlines()) == 4


def test_lines_are_chosen_by_number(make_request, tmp_path):
    request = make_request()
    rollout = create_world_model("persistence").predict(request)
    log = PredictionLog(tmp_path / "log.jsonl")
    lines = [log.write({"n": n}, request, rollout) for n in range(3)]
    log.close()
    assert read_line(str(log.path))[0]["n"] == 2
    assert read_line(str(log.path), 1)[0]["n"] == 0
    assert read_line(str(log.path), -2)[0]["n"] == 1
    assert read_line(lines[1])[0]["n"] == 1
    for number in (0, 4, -4):
        with pytest.raises(InputError, match=f"no line {number}; it has 3"):
            read_line(str(log.path), number)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("{}", "holds no request"),
        ('{"request": {}, "format": 99}', "format 99"),
        ('{"request": {}, "format": 1, "digests": 3}', "digests is not an object"),
        ("no/such/file.jsonl", "cannot be read"),
    ],
)
def test_bad_lines(line, message):
    with pytest.raises(InputError, match=message):
        read_line(line)


def test_tampered_and_missing_pictures(make_request, tmp_path):
    model, _, path = ask_and_log(tmp_path, make_request(), "persistence")
    record, _ = read_line(str(path))
    with pytest.raises(InputError, match="--pictures"):
        replay(record, model, tmp_path / "elsewhere")
    picture = next(image_folder(path).glob("*.png"))
    record["request"]["image"]["digest"] = "../../etc/passwd"
    with pytest.raises(InputError, match="is no digest"):
        replay(record, model, image_folder(path))
    record, _ = read_line(str(path))
    import cv2

    cv2.imwrite(str(picture), block_on_table(100))
    with pytest.raises(InputError, match="not the one that was recorded"):
        replay(record, model, image_folder(path))
    picture.write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match="cannot be decoded"):
        replay(record, model, image_folder(path))


def test_malformed_requests(make_request):
    record = request_to_record(make_request())
    for name, value in [("fps", "10"), ("fps", -1.0), ("chunk_size", 10**9), ("seed", 1.5), ("domain_name", None)]:
        with pytest.raises(InputError, match=f"malformed: ValueError: {name} is"):
            request_from_record({**record, name: value}, lambda _: np.zeros((1, 1, 3), np.uint8))
    for name, value in [("mode", "dream"), ("image", {"digest": "x", "shape": [1, 2]}), ("hold_action", "zero")]:
        with pytest.raises(InputError, match="malformed"):
            request_from_record({**record, name: value}, lambda _: np.zeros((1, 1, 3), np.uint8))
    del record["fps"]
    with pytest.raises(InputError, match="KeyError: 'fps'"):
        request_from_record(record, lambda _: np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(InputError, match="read the observation itself"):
        request_from_record({"needs_observation": True}, lambda _: np.zeros((1, 1, 3), np.uint8))


def test_records_are_strict_json():
    record = {"a": float("nan"), "b": [np.float32(1.5), (np.inf,)], "c": {1: np.int64(3)}, "d": {2}, "e": True}
    assert json.loads(to_json(record)) == {"a": None, "b": [1.5, [None]], "c": {"1": 3}, "d": "{2}", "e": True}


def test_the_line_outlives_its_pictures(make_request, tmp_path, monkeypatch):
    request = make_request()
    rollout = create_world_model("persistence").predict(request)
    log = PredictionLog(tmp_path / "log.jsonl")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(InputError, match="No space left"):
            log.write({"n": 1}, request, rollout)
    log.write({"n": 2}, request, rollout)
    log.close()
    records = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [(record["n"], record["pictures"]) for record in records] == [(1, False), (2, True)]
    assert not list(image_folder(log.path).glob("*.part"))


def test_nothing_to_compare_is_not_the_same(make_request, tmp_path):
    model, _, path = ask_and_log(tmp_path, make_request(), "persistence")
    record, _ = read_line(str(path))
    record["actions"], record["digests"] = None, {}
    with pytest.raises(InputError, match="neither actions nor"):
        replay(record, model, image_folder(path))
