"""Our nodes must not assign attributes that rclpy keeps for itself: it would break far away and much later."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cosmos_ros

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")

FILES = sorted(Path(cosmos_ros.__file__).parent.rglob("*.py"))
NODE_BASES = {"Node", "LifecycleNode"}


def assigned(tree: ast.ClassDef) -> set[str]:
    """Names X of every ``self.X = ...`` in a class."""
    targets = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)]
    return {t.attr for t in targets if isinstance(t.value, ast.Name) and t.value.id == "self"}


def node_classes() -> list[tuple[str, ast.ClassDef]]:
    found = []
    for path in FILES:
        for entry in ast.walk(ast.parse(path.read_text())):
            if isinstance(entry, ast.ClassDef) and NODE_BASES & {getattr(base, "id", "") for base in entry.bases}:
                found.append((f"{path.name}:{entry.name}", entry))
    return found


def test_no_node_shadows_rclpy():
    from rclpy.context import Context
    from rclpy.lifecycle import LifecycleNode

    context = Context()
    rclpy.init(context=context, args=[], domain_id=101)
    try:
        node = LifecycleNode("probe", context=context)
        taken = set(vars(node)) | set(dir(LifecycleNode))
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    assert {"_parameters", "_services", "_clock"} <= taken
    classes = node_classes()
    assert len(classes) >= 3
    for name, tree in classes:
        assert not assigned(tree) & taken, name
