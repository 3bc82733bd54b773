"""Pages of the documentation's site that are made from other files: a hook of mkdocs (see mkdocs.yml).

The Python API has one page a package, the page of embodiment files comes from ``embodiments/schema.json``, and
CONTRIBUTING, CHANGELOG and SECURITY of the repository's root are shown as they are. Links in Markdown files are those
that work in the repository; the ones to these files are turned to their pages.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "cosmos_ros"
SCHEMA_PAGE = "reference/embodiment_schema.md"
ROOT_PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.rst": "changelog.md", "SECURITY.md": "security.md"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the navigation's entry of the Python API."""
    entries = [{name: page} for name, page in ((p, api_page(p)) for p in packages())]
    for section in config.nav or []:
        if "Python API" in section:
            section["Python API"] = entries
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file in docs/ holds."""
    from mkdocs.structure.files import File

    pages = {api_page(package): api_text(package) for package in packages()}
    pages[SCHEMA_PAGE] = schema_text(json.loads((ROOT / "embodiments" / "schema.json").read_text(encoding="utf-8")))
    for name, page in ROOT_PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        pages[page] = markdown_of_changelog(text) if name.endswith(".rst") else text.replace("](docs/", "](")
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository's root into links to their pages."""
    up = "../" * page.file.src_uri.count("/")
    for name, target in ROOT_PAGES.items():
        markdown = re.sub(rf"\]\((\.\./)*{re.escape(name)}(?=[)#])", f"]({up}{target}", markdown)
    return markdown


def packages() -> list[str]:
    """Return the dotted names of the package and every package in it that holds public modules."""
    folders = (path.parent for path in sorted((ROOT / PACKAGE).rglob("__init__.py")))
    names = [".".join(folder.relative_to(ROOT).parts) for folder in folders]
    return sorted(name for name in names if "._" not in name)


def api_page(package: str) -> str:
    """Return the path of a package's page below docs/."""
    return f"reference/api/{package.removeprefix(PACKAGE).removeprefix('.') or 'index'}.md"


def api_text(package: str) -> str:
    """Return a package's page: what it exports, then each of its public modules with its docstrings."""
    folder = ROOT / package.replace(".", "/")
    lines = [f"# {package}", "", f"::: {package}", "    options: {show_root_heading: false}", ""]
    exported = exports(folder / "__init__.py")
    if exported:
        lines += [f"`from {package} import ...`", ""]
        lines += [f"- [`{name}`][{target}]: {summary(target)}" for name, target in sorted(exported.items())]
    for path in sorted(folder.glob("*.py")):
        if not path.stem.startswith("_"):
            lines += ["", f"::: {package}.{path.stem}"]
    return "\n".join(lines) + "\n"


def exports(init: Path) -> dict[str, str]:
    """Return name -> where it is defined, for the names that an ``__init__`` re-exports from this project."""
    found = {}
    for node in ast.walk(ast.parse(init.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            for alias in node.names:
                found[alias.asname or alias.name] = definition(f"{node.module}", alias.name)
    return {name: target for name, target in found.items() if not name.startswith("_")}


def definition(module: str, name: str) -> str:
    """Follow re-exports of packages to the module that defines a name."""
    init = ROOT / module.replace(".", "/") / "__init__.py"
    return exports(init).get(name, f"{module}.{name}") if init.is_file() else f"{module}.{name}"


def summary(target: str) -> str:
    """Return the first line of the docstring of a module's class or function."""
    module, _, name = target.rpartition(".")
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return (ast.get_docstring(node) or "").split("\n")[0].replace("``", "`")
    return ""


def schema_text(schema: dict[str, Any]) -> str:
    """Return the page of an embodiment file's fields, one table for the file and for each block in it."""
    lines = [
        "# Embodiment files, field by field",
        "",
        "Made from `embodiments/schema.json`, with which editors complete and check the file "
        "(`# yaml-language-server: $schema=schema.json` on its first line). What an embodiment is, and what the "
        "numbers mean: [Embodiments](embodiments.md). A file with `extends` may leave out what the other one gives.",
        "",
        *table("The file", "", schema),
    ]
    for name, block in sorted(schema["$defs"].items()):
        lines += table(name, block.get("description", ""), block)
    return "\n".join(lines) + "\n"


def table(title: str, description: str, block: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one block's table."""
    yield from (f"## {title}", "", description.replace("``", "`"), "", "| field | type | meaning |", "|---|---|---|")
    required = block.get("required") or block.get("then", {}).get("required", [])
    for name, field in block["properties"].items():
        default = field.get("default")
        note = "" if name in required else " *(may be left out)*" if default in (None, "", {}, []) else ""
        if isinstance(default, (int, float, str)) and default != "":
            note = f" *(default {json.dumps(default)})*"
        meaning = (field.get("description", "") + note).strip().replace("|", "\\|")
        yield f"| `{name}` | {kind(field)} | {meaning} |"
    yield ""


def kind(field: dict[str, Any]) -> str:
    """Return a field's type in words, with its range and with links to the blocks it may hold."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in field:
            return " or ".join(kind(choice) for choice in field[key] if choice.get("type") != "null")
    if "enum" in field:
        return ", ".join(f"`{choice}`" for choice in field["enum"])
    if field.get("type") == "array":
        items = field.get("items") or (field.get("prefixItems") or [{}])[0]
        low, high = field.get("minItems"), field.get("maxItems")
        return f"list of {low} ({kind(items)})" if low is not None and low == high else f"list of {kind(items)}"
    if field.get("type") == "object":
        return f"mapping to {kind(next(iter(field.get('patternProperties', {'': {}}).values())))}"
    low, high = field.get("minimum", field.get("exclusiveMinimum")), field.get("maximum")
    strict = "above " if "exclusiveMinimum" in field else "from "
    bounds = [f"{strict}{low:g}"] if low is not None and low > -1e9 else []
    bounds += [f"to {high:g}"] if high is not None and high < 1e9 else []
    return " ".join([str(field.get("type", "any")), *bounds])


def markdown_of_changelog(text: str) -> str:
    """Return the changelog, whose reStructuredText is headings, lists and literals only, as Markdown."""
    text = re.sub(r"\A\^+\n(.+)\n\^+$", r"# \1", text, flags=re.MULTILINE)
    text = re.sub(r"^(.+)\n-+$", r"## \1", text, flags=re.MULTILINE)
    return text.replace("``", "`")
