from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from cosmos_ros.errors import ConfigError
from cosmos_ros.types import Mode
from cosmos_ros.world_models import WorldModel, create_world_model, parse_options, registry, world_model_names
from cosmos_ros.world_models.persistence import Persistence


def test_shipped_names_come_first_and_once():
    names = world_model_names()
    assert names[:2] == ("persistence", "flow")
    assert {"expert", "cosmos3", "vllm_omni", "nim", "openpi"} <= set(names)
    assert len(names) == len(set(names))


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
    with pytest.raises(ConfigError, match="persistence, flow"):
        create_world_model("crystal_ball")


def test_unknown_option_lists_the_choices():
    with pytest.raises(ConfigError, match=r"\['dampening'\] are not known; allowed: \['damping'\]"):
        create_world_model("flow", dampening=0.5)


def test_wrong_option_value_names_the_range():
    with pytest.raises(ConfigError, match=r"damping is 1.5, must be in \[0, 1\]"):
        create_world_model("flow", damping=1.5)


def test_missing_dependency_names_the_extra(monkeypatch):
    monkeypatch.setitem(registry._SHIPPED, "needy", ("cosmos_ros.no_such_module:Model", "network"))
    with pytest.raises(ConfigError, match=r"pip install 'cosmos_ros\[network\]'"):
        create_world_model("needy")


def test_third_party_entry_point(monkeypatch):
    point = metadata.EntryPoint("acme", "cosmos_ros.world_models.persistence:Persistence", registry.ENTRY_POINT_GROUP)
    broken = metadata.EntryPoint("broken", "acme_world_models:Gone", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: (point, broken))
    assert world_model_names()[-2:] == ("acme", "broken")
    assert isinstance(create_world_model("acme"), Persistence)
    with pytest.raises(ConfigError, match="acme_world_models:Gone cannot be loaded"):
        create_world_model("broken")


def test_factory_that_is_no_world_model_is_refused(monkeypatch):
    point = metadata.EntryPoint("words", "textwrap:dedent", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: (point,))
    with pytest.raises(ConfigError, match="lacks a part of the WorldModel protocol"):
        create_world_model("words", text="")


def test_listing_and_baselines_import_no_heavy_library():
    code = (
        "import sys, cosmos_ros.world_models as w; w.world_model_names(); w.create_world_model('flow')\n"
        "heavy = {'torch', 'diffusers', 'rclpy', 'aiohttp', 'msgpack', 'av', 'mujoco'} & set(sys.modules)\n"
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
        (["dampening=1"], r"option dampening is not known; allowed: \['damping'\]"),
        (["damping=much"], "option damping is 'much', must be a number"),
    ]:
        with pytest.raises(ConfigError, match=message):
            parse_options("flow", texts)
    with pytest.raises(ConfigError, match="must be true or false"):
        parse_options("vllm_omni", ["frames=maybe"])
