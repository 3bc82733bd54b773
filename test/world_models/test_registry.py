"""Backends are found by their files and by entry points, and both kinds work alike."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from plugin import announce

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import CapabilityError, ConfigError, ModelError
from cosmos_ros.prediction.bound_model import ask
from cosmos_ros.types import Mode
from cosmos_ros.world_models import (
    WorldModel,
    create_world_model,
    find_backend,
    open_world_model,
    parse_options,
    registry,
    world_model_names,
)
from cosmos_ros.world_models.compatibility_table import survey

# A package of somebody else's: one file with the declaration and the model, and an entry point.
ELSEWHERE = """
from dataclasses import dataclass

import numpy as np

from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import Mode, Rollout
from cosmos_ros.world_models import ModelBackend, Capabilities

CAPABILITIES = Capabilities(modes=frozenset({Mode.POLICY}), returns_frames=False, settings=frozenset())
events = []


@dataclass(frozen=True)
class Options(DeclaredSettings):
    gain: float = setting(0.5, "Every number of every row.", minimum=0.0, maximum=1.0)
    embodiment: str = setting("", "Robot.")


class Drift:
    name = "drift"
    capabilities = CAPABILITIES

    def __init__(self, options):
        self.options = options

    def load(self):
        events.append("load")

    def predict(self, request):
        if request.seed == 13:
            raise ZeroDivisionError("unlucky")
        rows = np.full((request.chunk_size, request.action_dim), self.options.gain, np.float32)
        return Rollout(frames=None, actions=rows)

    def close(self):
        events.append("close")


BACKEND = ModelBackend(
    name="drift",
    summary="always the same row",
    options=Options,
    capabilities=lambda _: CAPABILITIES,
    implementation=Drift,
    examples={"drift": {}},
)
NEEDY = ModelBackend(
    name="needy",
    summary="needs what is not there",
    options=Options,
    capabilities=lambda _: CAPABILITIES,
    implementation="no_such_package.model:Model",
    packages=("no-such-package>=2",),
)
NOTHING = ModelBackend(
    name="nothing", summary="makes no model", options=Options, capabilities=lambda _: CAPABILITIES,
    implementation=lambda options: "words",
)
"""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "acme_drift.py").write_text(textwrap.dedent(ELSEWHERE))
    announce(
        tmp_path, "acme-drift", drift="acme_drift:BACKEND", needy="acme_drift:NEEDY", nothing="acme_drift:NOTHING",
        other="acme_drift:BACKEND", flow="acme_drift:BACKEND", broken="acme_gone:BACKEND",
    )  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("acme_drift", None)


def test_every_file_of_the_folder_is_a_backend():
    names = world_model_names()
    assert {"persistence", "flow", "expert", "cosmos3", "vllm_omni", "nim", "openpi"} <= set(names)
    assert len(names) == len(set(names))
    folder = Path(registry.backends.__path__[0])
    assert {path.stem for path in folder.glob("[a-z]*.py")} <= set(names)


def test_packages_are_those_of_the_extras():
    root = Path(__file__).resolve().parents[2]
    text = (root / "setup.py").read_text()
    for name in registry._shipped():
        for package in find_backend(name).packages:
            assert f'"{package}"' in text, f"{name} needs {package}, which no extra of setup.py installs"


@pytest.mark.parametrize("name", ["persistence", "flow"])
def test_weightless_models_speak_the_protocol(name):
    model = create_world_model(name)
    assert isinstance(model, WorldModel)
    assert model.name == name
    assert Mode.POLICY in model.capabilities.modes
    model.load()
    model.close()
    model.close()


def test_unknown_name_lists_the_choices():
    with pytest.raises(ConfigError, match="flow, persistence, compact"):
        create_world_model("crystal_ball")


def test_unknown_option_lists_the_choices():
    with pytest.raises(ConfigError, match="option dampening is not known; allowed: damping"):
        create_world_model("flow", dampening=0.5)


def test_wrong_option_value_names_the_range():
    with pytest.raises(ConfigError, match=r"damping: 1\.5 is outside 0\.0 to 1\.0"):
        create_world_model("flow", damping=1.5)


def test_a_backend_from_elsewhere_works_as_a_shipped_one(elsewhere, make_request):
    import acme_drift

    assert {"drift", "needy"} <= set(world_model_names())
    assert world_model_names().count("flow") == 1
    assert parse_options("drift", ["gain=0.25"], embodiment="umi") == {"gain": 0.25, "embodiment": "umi"}
    with pytest.raises(ConfigError, match=r"world_model drift: gain: 2\.0 is outside 0\.0 to 1\.0"):
        create_world_model("drift", gain=2.0)
    with open_world_model("drift", "franka", gain=0.25) as model:
        assert model.options.embodiment.endswith("franka.yaml")
        np.testing.assert_array_equal(model.predict(make_request()).actions, np.full((4, 10), 0.25, np.float32))
        assert acme_drift.events == ["load"]
    assert acme_drift.events == ["load", "close"]
    with pytest.raises(CapabilityError, match="has no inverse_dynamics"):
        open_world_model("drift", "franka", modes=[Mode.INVERSE_DYNAMICS]).__enter__()
    with pytest.raises(ModelError, match="ZeroDivisionError: unlucky"):
        ask(create_world_model("drift"), make_request(seed=13))
    row = survey([load_embodiment("franka")])["franka"]
    assert Mode.POLICY not in row["drift"]
    assert "has no inverse_dynamics" in row["drift"][Mode.INVERSE_DYNAMICS]
    assert "acme_gone:BACKEND cannot be loaded" in row["broken"][Mode.POLICY]


def test_what_is_wrong_with_a_backend_is_one_clear_line(elsewhere):
    with pytest.raises(ConfigError, match=r"needs no-such-package>=2: No module.*pip install 'no-such-package>=2'"):
        create_world_model("needy")
    with pytest.raises(ConfigError, match="lacks a part of the WorldModel protocol"):
        create_world_model("nothing")
    with pytest.raises(ConfigError, match=r"must give a cosmos_ros\.world_models\.ModelBackend with the name other"):
        create_world_model("other")
    with pytest.raises(ConfigError, match="acme_gone:BACKEND cannot be loaded"):
        create_world_model("broken")


def test_a_model_that_fails_to_load_is_closed(elsewhere, monkeypatch):
    import acme_drift

    monkeypatch.setattr(acme_drift.Drift, "load", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError), open_world_model("drift"):
        pass
    assert acme_drift.events == ["close"]


def test_listing_and_baselines_import_no_heavy_library():
    code = (
        "import sys, cosmos_ros.world_models as w\n"
        "for name in w.world_model_names():\n"
        "    b = w.find_backend(name); b.examples or b.capabilities(b.options())\n"
        "w.create_world_model('flow')\n"
        "heavy = {'torch', 'diffusers', 'rclpy', 'aiohttp', 'msgpack', 'av', 'mujoco', 'cv2'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_options_from_text_take_the_type_of_their_default():
    parsed = parse_options("nim", ["model=http://h:1", "timeout=5", "max_answer_bytes=1000", "variant = nano-droid"])
    assert parsed == {"model": "http://h:1", "timeout": 5.0, "max_answer_bytes": 1000, "variant": "nano-droid"}
    assert parse_options("vllm_omni", ["frames=False"]) == {"frames": False}
    for texts, message in [
        (["damping"], "'damping' is not option=value"),
        (["damping=1", "damping=0"], "given twice"),
        (["dampening=1"], r"option dampening is not known; allowed: damping"),
        (["damping=much"], "option damping is 'much', must be a number"),
    ]:
        with pytest.raises(ConfigError, match=message):
            parse_options("flow", texts)
    with pytest.raises(ConfigError, match="must be true or false"):
        parse_options("vllm_omni", ["frames=maybe"])
