"""Requests shared by the tests of the world models."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from world_model_scenes import block_on_table, normalise, pose_layout

from cosmos_ros.types import Mode, Request


@pytest.fixture
def make_request() -> Callable[..., Request]:
    def build(mode: Mode = Mode.POLICY, chunk_size: int = 4, **fields: object) -> Request:
        hold = normalise(np.array([0, 0, 0, 1, 0, 0, 0, 1, 0, 0.7]))
        defaults: dict[str, object] = {
            "mode": mode,
            "domain_name": "bridge_orig_lerobot",
            "domain_id": 7,
            "fps": 5.0,
            "chunk_size": chunk_size,
            "action_dim": 10,
            "image": block_on_table(60),
            "hold_action": hold,
            "layout": pose_layout(),
            "instruction": "pick up the block",
            "prompt": '{"actions": []}',
        }
        if mode is Mode.INVERSE_DYNAMICS:
            defaults |= {"image": None, "video": np.stack([block_on_table(60 + 3 * k) for k in range(chunk_size + 1)])}
        if mode is Mode.FORWARD_DYNAMICS:
            defaults["actions"] = np.repeat(hold[None], chunk_size, axis=0)
        return Request(**(defaults | fields))  # type: ignore[arg-type]

    return build


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries of the network backends follow at once."""
    monkeypatch.setattr("cosmos_ros.world_models.remote.network.FIRST_PAUSE", 0.01)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for 127.0.0.1, and a server's context that uses it."""
    folder = tmp_path_factory.mktemp("tls")
    key, path = folder / "key.pem", folder / "cert.pem"
    command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    try:
        subprocess.run(
            ["openssl", *command.split(), "-keyout", str(key), "-out", str(path)], check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("needs the openssl command to make a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return path, context
