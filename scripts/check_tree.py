"""Checks of the source tree that no linter makes: lengths, local paths, pip hints, and package.xml against setup.py.

Run by ``make lint``; prints one line a finding and exits 1 when there is one.
"""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# A file does one thing; longer ones are asked to be split. Lines.
LONGEST = 400
# Tests from before the bound, which list many cases; split them when they are touched, and add none.
LONGER_ALLOWED = {
    "test/evaluation/test_lerobot.py",
    "test/guard/test_guard_checks.py",
    "test/guard/test_guard_node.py",
    "test/guard/test_guard_responses.py",
    "test/guard/test_guard_supervisor.py",
    "test/observation/test_synchroniser.py",
    "test/world_models/stand_in_servers.py",
}

# Folders of a person's or a build machine, which mean nothing anywhere else; /home/cosmos is the image's own.
LOCAL_PATH = re.compile(r"""(?<![\w.~$}/:-])/(?!home/cosmos\b)(?:home|root|work|Users|mnt|media)/[\w.-]""")
# The name is not ours on the package index: nobody is told to take it from there, hints name the packages themselves.
FROM_INDEX = re.compile(r"""cosmos[-_]ros\[[\w,…$*]|pip3? install[^\n`"#]*[\s'"]cosmos[-_]ros(?![\w/.-]|\s*@)""")
# Checks the pattern, and resolves the package in this folder.
FROM_INDEX_ALLOWED = {"test/packaging/test_manifest.py", "scripts/refresh_constraints.sh"}
TEXT_SUFFIXES = {
    ".py",
    ".md",
    ".rst",
    ".txt",
    ".yaml",
    ".yml",
    ".xml",
    ".toml",
    ".cfg",
    ".sh",
    ".json",
    ".urdf",
    ".rviz",
    "",
}


def tracked_files() -> list[Path]:
    """Return the files that git knows, and those it would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return [path for line in output.splitlines() if (path := ROOT / line).is_file()]


def long_files(files: list[Path]) -> Iterator[str]:
    """Yield Python files that are too long, and exceptions that no file needs."""
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in files
        if path.suffix == ".py"
    }
    longer = {name for name, count in lengths.items() if count > LONGEST}
    for name in sorted(longer - LONGER_ALLOWED):
        yield f"{name}: {lengths[name]} lines, at most {LONGEST}; split it"
    for name in sorted(LONGER_ALLOWED - longer):
        yield f"{name}: no longer above {LONGEST} lines; take it off LONGER_ALLOWED"


def lines_of(files: list[Path]) -> Iterator[tuple[str, int, str]]:
    """Yield (file, number, line) of every text."""
    for path in files:
        if path.suffix not in TEXT_SUFFIXES:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            yield path.relative_to(ROOT).as_posix(), number, line


def local_paths(files: list[Path]) -> Iterator[str]:
    """Yield lines that name a folder of one machine."""
    for name, number, line in lines_of(files):
        if (match := LOCAL_PATH.search(line)) is not None:
            yield f"{name}:{number}: names a local path ({match.group()}…)"


def pip_hints(files: list[Path]) -> Iterator[str]:
    """Yield lines that have pip take this package, or extras of it, from the index."""
    for name, number, line in lines_of(files):
        if name not in FROM_INDEX_ALLOWED and FROM_INDEX.search(line) is not None:
            yield f"{name}:{number}: cosmos_ros is not ours on the package index; name the packages themselves"


def manifest() -> Iterator[str]:
    """Yield what is wrong with package.xml."""
    root = ET.parse(ROOT / "package.xml").getroot()  # noqa: S314 - our own file
    if root.tag != "package" or root.get("format") != "3":
        yield "package.xml: not a <package format='3'>"
    for tag in ("name", "version", "description", "maintainer", "license"):
        if not (root.findtext(tag) or "").strip():
            yield f"package.xml: <{tag}> is missing or empty"
    init = (ROOT / "cosmos_ros" / "version.py").read_text(encoding="utf-8")
    if f'__version__ = "{root.findtext("version")}"' not in init:
        yield "package.xml: <version> is not cosmos_ros.__version__"
    if root.findtext("export/build_type") != "ament_python":
        yield "package.xml: <build_type> is not ament_python"
    keys = [e.text for e in root if e.tag.endswith("depend")]
    for key in sorted({k for k in keys if keys.count(k) > 1 and k}):
        yield f"package.xml: {key} is listed twice"


def main() -> int:
    """Print every finding; return 1 when there is one."""
    files = tracked_files()
    findings = [*long_files(files), *local_paths(files), *pip_hints(files), *manifest()]
    print("\n".join(findings) or f"{len(files)} files: lengths, paths, pip hints and package.xml are fine")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
