"""Reading mappings into records: what is taken, what is refused and in which words, and the schema."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_ros.schema import Constraint, FieldError, Record, RecordError, declare, json_schema, plain, read

Name = Annotated[str, Constraint(min_length=1, max_length=5, pattern=r"^[a-z]+$")]


@dataclass(frozen=True, kw_only=True)
class Circle(Record):
    shorthand: ClassVar[str] = "radius"
    radius: float = declare(gt=0.0, le=10.0, description="m.")


@dataclass(frozen=True, kw_only=True)
class Box(Record):
    size: tuple[float, float]
    start: int = declare(0, key="from", ge=0)

    def check(self) -> None:
        if self.size[0] > self.size[1]:
            raise FieldError("size", "must not fall")
        if self.start > self.size[1]:
            raise ValueError("from is outside")


@dataclass(frozen=True, kw_only=True)
class Scene(Record):
    """What there is."""

    shapes: list[Circle | Box] = declare(min_length=1, max_length=2)
    mode: Literal["fast", "slow"] = "fast"
    level: Literal[1, 2] = 1
    weights: dict[Name, float] = declare(default_factory=dict)
    label: Name | None = declare(None, description="Text.")
    visible: bool = True


def problems(**changes: object) -> str:
    with pytest.raises(RecordError) as caught:
        read(Scene, {"shapes": [{"radius": 1}], **changes})
    return str(caught.value)


def test_values_become_what_is_declared() -> None:
    scene = read(Scene, {"shapes": [{"radius": 2}, {"size": [1, 2.5], "from": 1.0}], "weights": {"a": "1e-3"}})
    assert scene.shapes == [Circle(radius=2.0), Box(size=(1.0, 2.5), start=1)]
    assert isinstance(scene.shapes[0].radius, float) and type(scene.shapes[1].start) is int
    assert scene.weights == {"a": 0.001}  # which YAML 1.1 gives as a string
    assert (scene.mode, scene.level, scene.label, scene.visible) == ("fast", 1, None, True)
    assert read(Scene, plain(scene)) == scene
    assert plain(scene)["shapes"][1] == {"size": [1.0, 2.5], "from": 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shapes": []}, "shapes: must have at least 1 entries, has 0"),
        ({"shapes": [{"radius": 1}] * 3}, "shapes: must have at most 2 entries, has 3"),
        ({"shapes": {"radius": 1}}, "shapes: must be a list"),
        ({"shapes": [{"radius": 0}]}, "shapes.0.radius: must be greater than 0, got 0"),
        ({"shapes": [{"radius": 11.0}]}, "shapes.0.radius: must be less than or equal to 10, got 11.0"),
        ({"shapes": [{"radius": math.nan}]}, "shapes.0.radius: must be a finite number, got nan"),
        ({"shapes": [{"radius": True}]}, "shapes.0.radius: must be a number, got True"),
        ({"shapes": [{"radius": "two"}]}, "shapes.0.radius: must be a number, got 'two'"),
        ({"shapes": [{"radius": None}]}, "shapes.0.radius: must be a number"),
        ({"shapes": [{"size": [1]}]}, "shapes.0.size: must have at least 2 entries, has 1"),
        ({"shapes": [{"size": [2, 1]}]}, "shapes.0.size: must not fall"),
        ({"shapes": [{"size": [1, 2], "from": 3}]}, "shapes.0: from is outside"),
        ({"shapes": [{"size": [1, 2], "from": 0.5}]}, "shapes.0.from: must be a whole number, got 0.5"),
        ({"shapes": [{"size": [1, 2], "start": 1}]}, "shapes.0.start: unknown field; allowed here: from, size"),
        ({"shapes": [{"form": "round"}]}, "shapes.0: needs one of the keys radius, size"),
        ({"mode": "Fast"}, "mode: must be 'fast' or 'slow', got 'Fast'"),
        ({"level": True}, "level: must be 1 or 2, got True"),
        ({"level": 1.0}, "level: must be 1 or 2, got 1.0"),
        ({"weights": {"a": "x", "B": 1}}, "weights.a: must be a number, got 'x'; weights.B: must match ^[a-z]+$, got"),
        ({"weights": {1: 1}}, "weights.1: must be a text, got 1"),
        ({"weights": [1]}, "weights: must be a mapping"),
        ({"label": "a\n"}, "label: must match"),
        ({"label": "abcdef"}, "label: must have at most 5 characters, has 6"),
        ({"visible": 1}, "visible: must be true or false, got 1"),
        ({"colour": 1}, "colour: unknown field; allowed here: label, level, mode, shapes, visible, weights"),
    ],
)  # fmt: skip
def test_every_refusal_names_its_field(changes: dict[str, object], words: str) -> None:
    assert problems(**changes).startswith(words)


def test_numbers_of_any_length_are_refused_in_few_words() -> None:
    assert len(problems(shapes=[{"radius": 10**400}])) < 200
    assert "a very large number" in problems(shapes=[{"radius": 10**5000}])


def test_millions_of_problems_are_not_collected() -> None:
    with pytest.raises(RecordError) as caught:
        read(Scene, {"shapes": [{"radius": 1}], "weights": dict.fromkeys(map(str, range(100_000)), "x")})
    assert len(caught.value.problems) < 30


def test_a_bare_value_may_stand_for_one_field() -> None:
    assert read(Circle, 3) == Circle(radius=3.0)
    with pytest.raises(RecordError, match="radius: must be a number, got 'x'"):
        read(Circle, "x")


def test_values_made_in_code_are_checked_against_each_other_too() -> None:
    with pytest.raises(ValueError, match="must not fall"):
        Box(size=(2.0, 1.0))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["shapes", "mode", "radius", "size", "from", "weights", "a"]) | st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(json_values)
def test_nothing_but_a_record_or_its_error_comes_out(data: object) -> None:
    try:
        scene = read(Scene, data)
    except RecordError as error:
        assert error.problems
        return
    assert read(Scene, json.loads(json.dumps(plain(scene)))) == scene


def test_schema_says_what_reading_checks() -> None:
    schema = json_schema(Scene)
    assert schema["required"] == ["shapes"] and schema["additionalProperties"] is False
    assert schema["description"] == "What there is."
    properties = schema["properties"]
    assert properties["shapes"]["items"] == {"anyOf": [{"$ref": "#/$defs/Circle"}, {"$ref": "#/$defs/Box"}]}
    assert properties["mode"] == {"enum": ["fast", "slow"], "type": "string", "default": "fast"}
    weights = {"type": "object", "patternProperties": {"^[a-z]+$": {"type": "number"}}, "default": {}}
    assert properties["weights"] == weights
    assert properties["label"]["anyOf"][1] == {"type": "null"} and properties["label"]["description"] == "Text."
    radius = schema["$defs"]["Circle"]["properties"]["radius"]
    assert radius == {"type": "number", "exclusiveMinimum": 0.0, "maximum": 10.0, "description": "m."}
    assert list(schema["$defs"]["Box"]["properties"]) == ["size", "from"]
