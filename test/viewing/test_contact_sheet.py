"""Contact sheets show every tile where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from cosmos_ros.errors import InputError
from cosmos_ros.viewing.contact_sheet import contact_sheet, frame_choice, rollout_sheet


def solid(value: int, shape=(90, 160)) -> np.ndarray:
    return np.full((*shape, 3), value, dtype=np.uint8)


def test_every_tile_is_shown_with_its_colour():
    sheet = contact_sheet(
        [("predicted", [solid(200), solid(100)]), ("actual", [solid(50), None])], ["+0.00 s", "+0.07 s"], tile_width=80
    )
    counts = {value: int(np.sum(np.all(sheet == value, axis=-1))) for value in (200, 100, 50)}
    assert counts[200] >= 80 * 45
    assert counts[100] >= 80 * 45
    assert counts[50] >= 80 * 45
    first_row = np.argwhere(np.all(sheet == 200, axis=-1))[:, 0].max()
    second_row = np.argwhere(np.all(sheet == 50, axis=-1))[:, 0].min()
    assert first_row < second_row


def test_nothing_to_show_is_an_error():
    with pytest.raises(InputError, match="no frame"):
        contact_sheet([("actual", [None])], ["x"])
    with pytest.raises(InputError, match="more tiles"):
        contact_sheet([("actual", [solid(1), solid(2)])], ["x"])


@pytest.mark.parametrize(("count", "columns", "expected"), [(17, 5, [0, 4, 8, 12, 16]), (2, 6, [0, 1]), (1, 3, [0])])
def test_frames_are_chosen_evenly_with_both_ends(count, columns, expected):
    assert frame_choice(count, columns) == expected


def test_a_rollout_sheet_holds_the_last_frame():
    frames = np.stack([solid(i * 15) for i in range(17)])
    sheet = rollout_sheet(frames, 15.0, title="scripted")
    assert np.any(np.all(sheet == 240, axis=-1))
