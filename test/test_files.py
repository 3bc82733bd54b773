"""Files are written whole or not at all, and errors name them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from cosmos_ros.errors import OutputError
from cosmos_ros.files import AppendedFile, write_bytes, write_json, write_text


def test_what_cannot_be_written_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"b": 1, "a": "é"}, sort_keys=True)
    before = path.read_bytes()
    assert json.loads(before) == {"a": "é", "b": 1} and before.index(b"a") < before.index(b"b")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match=r"metrics\.json: cannot be written: No space left"):
            write_text(path, "something else")
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_links_and_special_files_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(tmp_path / "pipe", b"through")
    assert os.read(reader, 100) == b"through" and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    os.close(reader)


@pytest.mark.parametrize("name", ["", "none/file", "file/below"])
def test_wrong_places_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write_text(tmp_path / name, "text")
    assert caught.value.where == str(tmp_path / name)


def test_a_file_grows_by_entries(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log"
    for entry in (b"one\n", b"two\n"):
        file = AppendedFile(path)
        file.append(entry)
        assert path.read_bytes().endswith(entry), "it is on disk before the file is closed"
        file.close()
        file.close()
    assert path.read_bytes() == b"one\ntwo\n"
    with pytest.raises(OutputError, match="cannot be written"):
        AppendedFile(tmp_path / "folder")
