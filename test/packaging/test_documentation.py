"""The pages of the site that are made from other files, and those that must keep up with the code."""

from __future__ import annotations

import ast
import importlib
import json
import re
import runpy
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from packaging_tools import ROOT


@pytest.fixture(scope="module")
def site() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "site_pages.py"))


def topics_in(path: Path) -> set[str]:
    """Return the names, written out in the code, of the topics and services that a file makes."""
    makers = {"create_publisher": 1, "create_subscription": 1, "create_service": 1}
    return {
        argument.value
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in makers
        for argument in call.args[makers[call.func.attr] :][:1]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def test_every_topic_and_service_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "topics.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`]+)`", page))
    made = {topic for path in (ROOT / "cosmos_ros" / "nodes").rglob("*.py") for topic in topics_in(path)}
    assert {"~/would_send", "~/provenance", "joint_states"} <= made
    assert made - named == set()


def test_page_of_embodiment_files_names_every_field(site: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "embodiments" / "schema.json").read_text(encoding="utf-8"))
    page = site["schema_text"](schema)
    blocks = {"The file": schema, **schema["$defs"]}
    for name, block in blocks.items():
        (text,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
        assert re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE) == list(block["properties"])
    assert "| `chunk_size` | integer from 1 to 1024 | T, number of action rows; frames are T + 1. |" in page
    assert "| `fps` | number above 0 to 1000 |" in page
    assert "[Gripper](#gripper)" in page


def test_every_public_module_has_its_place_in_the_api(site: dict[str, Any]) -> None:
    shown = {
        name for package in site["packages"]() for name in re.findall(r"^::: (\S+)", site["api_text"](package), re.M)
    }
    modules = set()
    for path in (ROOT / "cosmos_ros").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if not any(part.startswith("_") for part in parts if part != "__init__"):
            modules.add(".".join(part for part in parts if part != "__init__"))
    assert shown == modules


def test_what_a_package_exports_is_followed_to_its_definition(site: dict[str, Any]) -> None:
    from cosmos_ros.embodiment import load_embodiment

    exported = site["exports"](ROOT / "cosmos_ros" / "embodiment" / "__init__.py")
    assert exported["load_embodiment"] == f"{load_embodiment.__module__}.load_embodiment"
    assert site["summary"](exported["load_embodiment"]) == str(load_embodiment.__doc__).split("\n")[0]


def test_names_in_the_examples_exist() -> None:
    """Whatever Python code in the documentation imports from this package is there."""
    used = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            used += [("cosmos_ros", name) for name in re.findall(r"\bcr\.(\w+)", block)]
            for module, names in re.findall(r"^from (cosmos_ros[\w.]*) import ([\w, ]+)$", block, re.MULTILINE):
                used += [(module, name.strip()) for name in names.split(",")]
    assert used
    assert [f"{module}.{name}" for module, name in used if not hasattr(importlib.import_module(module), name)] == []


def test_changelog_becomes_markdown(site: dict[str, Any]) -> None:
    text = "^^^^\nChangelog of p\n^^^^\n\nForthcoming\n-----------\n\n0.1.0 (2026-01-02)\n------\n* One ``two``.\n"
    expected = "# Changelog of p\n\n## Forthcoming\n\n## 0.1.0 (2026-01-02)\n* One `two`.\n"
    assert site["markdown_of_changelog"](text) == expected


def test_version_is_the_same_everywhere() -> None:
    version = str(ET.parse(ROOT / "package.xml").getroot().findtext("version"))
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert re.search(rf"^{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n-+$", (ROOT / "CHANGELOG.rst").read_text(), re.M)
