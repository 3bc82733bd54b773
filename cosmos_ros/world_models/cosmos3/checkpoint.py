"""Finds a Cosmos3 checkpoint and looks it over before anything heavy is imported or loaded.

Only JSON and safetensors are ever read. A checkpoint with pickled weights alone is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmos_ros.errors import ConfigError

WHERE = "world_model cosmos3"
# What an action run needs; the sound tokenizer and the vision encoder of the full repository are not.
COMPONENTS = ("transformer", "vae")
# Part → library and begin of the class that may make it: diffusers would import whatever the file names.
_CLASSES = {
    "transformer": ("diffusers", "Cosmos3"),
    "vae": ("diffusers", "AutoencoderKLWan"),
    "scheduler": ("diffusers", ""),
    "text_tokenizer": ("transformers", ""),
}
PATTERNS = ("model_index.json", "scheduler/*.json", "text_tokenizer/*", "transformer/*", "vae/*")
WEIGHTS = "diffusion_pytorch_model"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_LARGEST_HEADER = 100 << 20  # the safetensors format's own limit
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk that has all its parts.

    Attributes:
        folder: Where it is.
        model: What the user called it.
        revision: Commit on the hub, or empty when it is not known.
        parameters: Component → number of parameters.
        fingerprint: SHA-256 (hex, 16 characters) over configuration files and samples of every weight file.
    """

    folder: Path
    model: str
    revision: str
    parameters: Mapping[str, int]
    fingerprint: str

    @property
    def total_parameters(self) -> int:
        """Parameters of all components."""
        return sum(self.parameters.values())


def find_checkpoint(model: str, revision: str = "", *, allow_download: bool = False) -> Checkpoint:
    """Return the checkpoint of a directory, or of a hub id at a pinned revision.

    Args:
        model: Directory, or hub id such as ``nvidia/Cosmos3-Nano``.
        revision: 40-digit commit; needed for a hub id, refused for a directory.
        allow_download: Fetch what is missing; else only the local cache is looked at.

    Raises:
        ConfigError: Names the directory, what is missing in it, and the command that gets it.
    """
    if not model:
        raise ConfigError(
            "no checkpoint is named",
            where=WHERE,
            hint="Give model:=DIRECTORY, or model:=nvidia/Cosmos3-Nano with its revision.",
        )
    folder = Path(model).expanduser()
    looks_local = model.startswith((".", "/", "~")) or folder.exists() or not _HUB_ID.fullmatch(model)
    if looks_local:
        if revision:
            raise ConfigError("a directory has no revision; leave it out", where=f"{WHERE}, model {model}")
    else:
        folder = _from_hub(model, revision, allow_download)
    parameters = _check_layout(folder, model)
    if "Policy-DROID" in model or "Policy-DROID" in folder.resolve().name:
        raise ConfigError(
            "Policy-DROID takes joint positions and a state row, which diffusers' pipeline has no input for",
            where=f"{WHERE}, model {model}",
            hint="Serve it with vLLM-Omni or cosmos-framework and use world_model:=openpi, or with NIM.",
        )
    return Checkpoint(
        folder=folder,
        model=model,
        revision=revision or _revision_of(folder),
        parameters=parameters,
        fingerprint=_fingerprint(folder),
    )


def _from_hub(model: str, revision: str, allow_download: bool) -> Path:
    if not _COMMIT.fullmatch(revision):
        raise ConfigError(
            f"a hub id needs a pinned revision, a commit of 40 hexadecimal digits; got {revision!r}",
            where=f"{WHERE}, model {model}",
            hint=f"Take it from https://huggingface.co/{model}/commits/main.",
        )
    from huggingface_hub import errors, snapshot_download

    command = f"hf download {model} --revision {revision}"
    try:
        return Path(
            snapshot_download(
                model, revision=revision, allow_patterns=list(PATTERNS), local_files_only=not allow_download
            )
        )
    except errors.GatedRepoError as error:
        raise ConfigError(
            "access to the repository is gated",
            where=f"{WHERE}, model {model}",
            hint=f"Accept its terms at https://huggingface.co/{model}, run `hf auth login`, then `{command}`.",
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise ConfigError(
            f"the hub has no such repository or revision {revision} (or it is not visible without `hf auth login`)",
            where=f"{WHERE}, model {model}",
        ) from error
    except (errors.LocalEntryNotFoundError, FileNotFoundError) as error:
        raise ConfigError(
            "it is not in the local cache",
            where=f"{WHERE}, model {model}",
            hint=f"Get it: `{command}` (about 33 GB), or set the option allow_download.",
        ) from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise ConfigError(
            f"it cannot be fetched: {str(error).splitlines()[0]:.300}", where=f"{WHERE}, model {model}"
        ) from error


def _check_layout(folder: Path, model: str) -> dict[str, int]:
    """Return parameters by component; refuse a folder that lacks a part."""
    name = model if _HUB_ID.fullmatch(model) else "nvidia/Cosmos3-Nano"
    hint = f"Get it: `hf download {name} --local-dir {folder}`."

    def missing(path: Path, what: str = "is missing") -> ConfigError:
        return ConfigError(f"{path.relative_to(folder)} {what}", where=f"{WHERE}, checkpoint {folder}", hint=hint)

    if not folder.is_dir():
        raise ConfigError("there is no such directory", where=f"{WHERE}, checkpoint {folder}", hint=hint)
    index = _json(folder, folder / "model_index.json", missing)
    kind = index.get("_class_name")
    if not isinstance(kind, str) or not kind.startswith("Cosmos3Omni"):
        raise ConfigError(f"it is a {kind}, not a Cosmos3 Omni model", where=f"{WHERE}, checkpoint {folder}")
    for part, (library, name) in _CLASSES.items():
        said = index.get(part)
        fits = isinstance(said, list) and len(said) == 2 and said[0] == library and str(said[1]).startswith(name)
        if part in index and not fits:
            raise ConfigError(
                f"model_index.json has {part} made by {said!r:.80}, expected is {library}'s {name or 'own'}",
                where=f"{WHERE}, checkpoint {folder}",
            )
    _json(folder, folder / "scheduler" / "scheduler_config.json", missing)
    tokenizer = folder / "text_tokenizer"
    if not any((tokenizer / file).is_file() for file in ("tokenizer.json", "vocab.json")):
        raise missing(tokenizer / "tokenizer.json")
    parameters = {}
    for component in COMPONENTS:
        config = _json(folder, folder / component / "config.json", missing)
        if component == "transformer" and not config.get("action_gen"):
            raise ConfigError(
                "its transformer has no action head (action_gen is false)", where=f"{WHERE}, checkpoint {folder}"
            )
        parameters[component] = sum(_count(file, folder) for file in _weight_files(folder, component, missing))
    return parameters


def _weight_files(folder: Path, component: str, missing: Any) -> list[Path]:
    part = folder / component
    single, index = part / f"{WEIGHTS}.safetensors", part / f"{WEIGHTS}.safetensors.index.json"
    # Where there are both, diffusers goes by the index, and it would load whatever that names.
    if not index.is_file():
        if single.is_file():
            return [single]
        if any(part.glob("*.bin")) or any(part.glob("*.pt")) or any(part.glob("*.ckpt")):
            raise missing(single, "is missing; pickled weights (.bin, .pt, .ckpt) are never loaded")
        raise missing(single)
    table = _json(folder, index, missing).get("weight_map")
    listed = list(table.values()) if isinstance(table, Mapping) else []
    names = sorted({name for name in listed if isinstance(name, str)})
    plain = all(Path(name).name == name and name.endswith(".safetensors") for name in names)
    if not names or not plain or not all(isinstance(name, str) for name in listed):
        raise missing(index, "does not list safetensors files of its own folder")
    for name in names:
        if not (part / name).is_file():
            raise missing(part / name)
    return [part / name for name in names]


def _json(folder: Path, path: Path, missing: Any) -> dict[str, Any]:
    if not path.is_file():
        raise missing(path)
    try:
        if path.stat().st_size > _LARGEST_HEADER:
            raise ValueError(f"{path.stat().st_size} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise missing(path, f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path.relative_to(folder)} is not JSON: {error}", where=f"{WHERE}, checkpoint {folder}"
        ) from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path.relative_to(folder)} is not an object", where=f"{WHERE}, checkpoint {folder}")
    return found


def _count(path: Path, folder: Path) -> int:
    """Return the number of parameters in a safetensors file, from its header; refuse a damaged or cut file."""
    problem = ""
    total = 0
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _LARGEST_HEADER:
                raise ValueError(f"header of {length} bytes")
            header = json.loads(file.read(length))
            end = 0
            for name, tensor in header.items():
                if name != "__metadata__":
                    total += math.prod(tensor["shape"])
                    end = max(end, tensor["data_offsets"][1])
            if path.stat().st_size != 8 + length + end:
                raise ValueError(f"{path.stat().st_size} bytes instead of {8 + length + end}; the download was cut")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        problem = str(error)
    if problem:
        raise ConfigError(
            f"{path.relative_to(folder)} is not a whole safetensors file: {problem:.200}",
            where=f"{WHERE}, checkpoint {folder}",
            hint="Download it again.",
        )
    return total


def _revision_of(folder: Path) -> str:
    """Return the commit that ``hf download --local-dir`` noted beside the files, or that names a cache folder."""
    if _COMMIT.fullmatch(folder.resolve().name):
        return folder.resolve().name
    note = folder / ".cache" / "huggingface" / "download" / "model_index.json.metadata"
    if note.is_file():
        first = note.read_text(encoding="utf-8", errors="replace").splitlines()[:1]
        if first and _COMMIT.fullmatch(first[0].strip()):
            return first[0].strip()
    return ""


def _fingerprint(folder: Path) -> str:
    hasher = hashlib.sha256()
    files = [folder / "model_index.json", folder / "scheduler" / "scheduler_config.json"]
    for part in ("text_tokenizer", *COMPONENTS):
        files += sorted((folder / part).glob("*.json")) + sorted((folder / part).glob("*.safetensors"))
    for path in files:
        size = path.stat().st_size
        hasher.update(f"{path.relative_to(folder)}:{size}:".encode())
        with path.open("rb") as file:
            hasher.update(file.read(_SAMPLE))
            if size > 2 * _SAMPLE:
                file.seek(-_SAMPLE, 2)
                hasher.update(file.read(_SAMPLE))
    return hasher.hexdigest()[:16]
