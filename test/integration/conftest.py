from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from parity_bag import Played


@pytest.fixture(scope="session")
def played(tmp_path_factory) -> Played:
    """A bag walked offline, and what the live nodes said when it was played to them."""
    from parity_bag import play

    return play(tmp_path_factory.mktemp("played") / "bag")
