"""Without MuJoCo, the ``sim`` extra, nothing here is collected."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("mujoco") else ["test_*.py"]
