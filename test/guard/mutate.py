# ruff: noqa: E501 - a mutant is read as one line
"""Break the guard in one place at a time and see that a test notices: ``python test/guard/mutate.py [WORD ...]``.

Works on a copy, in a temporary folder. Every check class is made to find nothing, every terminal check to pass, and the
listed lines are changed one by one. Words choose the mutants whose name contains one of them. Exits with 1 when a
mutant survives. Takes some minutes.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("cosmos_ros", "embodiments", "config", "test", "pyproject.toml")
TESTS = (
    "test_guard_checks.py", "test_guard_supervisor.py", "test_guard_responses.py", "test_guard_extrema.py",
    "test_guard_conformance.py", "test_guard_model.py", "test_guard_singularity.py", "test_guard_whole.py", "test_guard_cases.py", "test_guard_recordings.py",
    "test_guard_settings.py", "test_guard_properties.py", "test_guard_cameras.py", "test_guard_corners.py", "test_guard_stops.py", "test_guard_reported.py", "test_guard_drills.py",
)  # fmt: skip
GUARD = "cosmos_ros/guard"

# File, what stands there, what is put in its place.
LINES: tuple[tuple[str, str, str], ...] = (
    ("checks/polynomial.py", "above = ~(exact.upper <= upper[joints] + slack)", "above = exact.upper > upper[joints] + 0.1"),
    ("checks/polynomial.py", "below = ~(exact.lower >= lower[joints] - slack)", "below = np.zeros_like(above)"),
    ("checks/polynomial.py", "is_high = np.isnan(low) | (high <= low)", "is_high = high <= high"),
    ("checks/position.py", "if not case.checking.recovery or not (above | below).any():", "if True:"),
    ("checks/position.py", "np.where(above, 0.0, np.inf),", "np.full(len(above), np.inf),"),
    ("checks/position_dependent.py", "reach = np.sqrt(np.maximum(gain * (limit - q), 0.0)) - offset", "reach = np.sqrt(np.maximum(gain * (limit - q), 0.0))"),
    ("checks/position_dependent.py", "(-1.0, law.lower_offset, law.lower_gain, -law.lower_position),", ""),
    ("checks/velocity.py", "for column, law in motion.table.position_dependent:", "for column, law in ():"),
    ("checks/acceleration.py", "if case.checking.linear_ends:", "if False:"),
    ("checks/acceleration.py", "value = 2.0 * np.diff(velocity, axis=0) / (", "value = 0.2 * np.diff(velocity, axis=0) / ("),
    ("checks/mimic.py", "rule.multiplier * motion.positions[:, source]", "motion.positions[:, source]"),
    ("checks/start.py", "speed = np.abs(first.velocities[0] - start.velocities)", "speed = np.zeros_like(step)"),
    ("../trajectory/executing.py", "short = np.mod(difference + np.pi, 2.0 * np.pi) - np.pi", "short = difference"),
    ("checks/start.py", "if not error <= bound + case.checking.slack", "if False"),
    ("checks/freshness.py", "if age < -_FUTURE:", "if False:"),
    ("checks/freshness.py", "if lead > latest:", "if False:"),
    ("checks/freshness.py", "if lead < -oldest:", "if False:"),
    ("checks/intake.py", "if times[0] < 0:", "if False:"),
    ("checks/intake.py", "stuck = np.flatnonzero(times[1:] <= times[:-1])", "stuck = np.flatnonzero(times[1:] < times[:-1])"),
    ("checks/time_step.py", "if close.any():", "if False:"),
    ("checks/time_step.py", "elif far.any():", "elif False:"),
    ("checks/intake.py", "if seen.intersection(group):", "if False:"),
    ("checks/units.py", "_FAR = 1.0", "_FAR = 1e9"),
    ("checks/units.py", "_FAST = 50.0", "_FAST = 1e300"),
    ("checks/self_collision.py", "result: FloatArray = apart - self._radii", "result: FloatArray = apart"),
    ("checks/self_collision.py", "t = ((ab * s + bg) / np.maximum(bb, tiny)).clip(0.0, 1.0)", "t = (ab * s + bg) / np.maximum(bb, tiny)"),
    ("checks/region.py", "low, high = np.array(box.minimum) + margin", "low, high = np.array(box.minimum) - margin"),
    ("checks/singularity.py", "[...] -= (least**2)", "[...] += (least**2)"),
    ("checks/singularity.py", "steep * change + usage.rate[points.segment]", "0.0 * change"),
    ("checks/singularity.py", "(self._slow(case) if thresholds.slows else [])", "[]"),
    ("checks/singularity.py", "return np.maximum(share, LEAST_SHARE)", "return np.maximum(share, 0.5)"),
    ("response/retime.py", "ceiling = np.minimum(ceiling, slow)", "pass"),
    ("checks/singularity.py", "if _moves_freely(model, link)", ""),
    ("checks/tool_motion.py", "if not math.isfinite(bound) or (ceiling <= bound + slack).all():", "if True:"),
    ("motion/sampler.py", "reach = np.minimum(reach, here + after * self.half_seconds[:, None])", "reach = 0.1 * here"),
    ("motion/sampler.py", "rate[..., :3] += own", "pass"),
    ("motion/sampler.py", "result: FloatArray = np.sqrt(np.einsum(\"mi,mi->m\", rate, rate)) + 0.5 * bend * self.half_seconds", "result: FloatArray = 0.1 * bend * self.half_seconds"),
    ("motion/kinematic_bounds.py", "_weighted(self.joint_acceleration, self.reach) + self._reached(self._total**2)", "0.1 * _weighted(self.joint_acceleration, self.reach)"),
    ("../kinematics/numpy_backend.py", "weights[..., 2] -= np.cos(values)", "pass"),
    ("motion/crossing_search.py", "certified = (value - allowance >= -slack) | (allowance <= resolution)", "certified = value >= -slack"),
    ("motion/crossing_search.py", "if crossing is None or not recovery:", "if True:"),
    ("motion/crossing_search.py", "known = points.only(int(np.argmax(undecided)))", "known = None"),
    ("motion/joint_motion.py", "offset = 1", "offset = 0"),
    ("checks/position.py", "upper=joint.upper - margin", "upper=joint.upper"),
    ("checks/velocity.py", "return scaled(limits, velocity=settings.velocity_scale)", "return limits"),
    ("checks/acceleration.py", "return scaled(limits, acceleration=settings.acceleration_scale)", "return limits"),
    ("checks/jerk.py", "return scaled(limits, jerk=settings.jerk_scale)", "return limits"),
    ("checks/tool_motion.py", "settings.cartesian_scale * getattr(tool, field)", "getattr(tool, field)"),
    ("checks/region.py", "boxes = (*robot.surroundings.keep_out, *parse_boxes(settings.keep_out))", "boxes = robot.surroundings.keep_out"),
    ("checks/check_registry.py", "found += [_loaded(point) for point in metadata.entry_points(group=ENTRY_POINT_GROUP)]", ""),
    ("../limits.py", "upper_gain=share**2 * law.upper_gain,", "upper_gain=law.upper_gain,"),
    ("checker.py", "if not motion.finite:", "if False:"),
    ("checker.py", "turns = np.round((trajectory.positions[0] - start.positions) / (2.0 * np.pi))", "turns = 0.0 * start.positions"),
    ("motion/join.py", "candidate.turn(np.where(table.continuous,", "candidate.turn(np.where(False,"),
    ("motion/join.py", "rows = here.then(_decayed(candidate, at, later, difference, rate, bend, table, least))", "rows = here.then(candidate.at(later))"),
    ("motion/join.py", "later = candidate.times[candidate.times >= at + least]", "later = candidate.times[candidate.times > candidate.times[0]]"),
    ("guard.py", "sent = None if verdict.trajectory is None else self._with_hold(verdict.trajectory, context)", "sent = verdict.trajectory"),
    ("guard.py", "velocities[-1] = 0.0", "pass"),
    ("guard.py", "if self.settings.response.allow_slow_down:", "if True:"),
    ("guard.py", "if self.settings.response.allow_truncate:", "if True:"),
    ("response/planner.py", "if self.checker.legal(proposal, context):", "if True:"),
    ("response/planner.py", "if self.checker.legal(tail, context):\n                return tail", "if True:\n                return tail"),
    ("response/planner.py", "if duration_of(proposal) > longest:", "if False:"),
    ("response/planner.py", "if stop <= after:", "if False:"),
    ("response/planner.py", "for keep in (self.response.reaction_time, 0.0):\n            for scale", "for keep in (0.0,):\n            for scale"),
    ("response/planner.py", "return stops.hold(state.joint_names, state.positions, now, shortest=self._minimum_step)", "return None"),
    ("response/planner.py", "yield from retime.smooth_stops(self.path(motion, context, scale=1.0, begin=0.0), now)", "pass"),
    ("response/planner.py", "if self.checker.keeps_limits(stop, context):", "if True:"),
    ("response/stops.py", "speed = np.sign(speed) * np.minimum(np.abs(speed), 2.0 * room / seconds)", "pass"),
    ("response/stops.py", "min(stopping_time(speed, table.acceleration * scale), within)", "stopping_time(speed, table.acceleration * scale)"),
    ("checks/velocity.py", "return abs(shrunk.bound) < abs(constant.bound) - 1e-9", "return False"),
    ("response/stops.py", "bound = np.where(np.isfinite(acceleration), acceleration, 1.0)", "bound = acceleration"),
    ("response/speed_profile.py", "result[-1] = min(path.ceiling[-1], end)", "result[-1] = path.ceiling[-1]"),
    ("response/speed_profile.py", "ceiling = np.minimum(path.ceiling[:-1], lines.ceiling)", "ceiling = lines.ceiling"),
    ("response/speed_profile.py", "if start is not None and reachable[0] < start - 1e-9:", "if False:"),
    ("response/retime.py", "ceiling = np.minimum(1.0, _joint_ceiling(", "ceiling = np.minimum(9.0, _joint_ceiling("),
    ("response/retime.py", "path.tangents * np.sqrt(squared)[:, None]", "path.tangents"),
    ("response/retime.py", "ceiling = np.minimum(ceiling, _tool_ceiling(both, tool, settings))", "pass"),
    ("response/retime.py", "bound[:, column] = np.where(tangents[:, column] > 0.0, up, down)", "pass"),
    ("response/uniform_scaling.py", "scale = max(scale, ratio ** (1.0 / order))", "scale = max(scale, ratio)"),
    ("supervision/supervisor.py", "self.state = State.DISARMED", "self.state = State.ARMED"),
    ("supervision/supervisor.py", "if self.state is not State.ARMED:\n                return replace(output, would_send", "if False:\n                return replace(output, would_send"),
    ("supervision/signs_of_life.py", "if not silence <= timeout:", "if False:"),
    ("supervision/signs_of_life.py", "if heard is None:", "if False:"),
    ("supervision/sent_motion.py", "if off > _MOVED:", "if False:"),
    ("supervision/sent_motion.py", "if rests and self._robot.deviation(self.executed) > _MOVED:", "if False:"),
    ("supervision/supervisor.py", "if self.state is not State.ARMED and not self._sent.stop.active:", "if False:"),
    ("response/stops.py", "np.abs(speed) > fastest, fastest /", "np.abs(speed) > table.velocity, table.velocity /"),
    ("supervision/supervisor.py", "if latched := self._latch_if(publishing, now_ns, follows=True):", "if latched := None:"),
    ("supervision/supervisor.py", "if publishing and self.state is State.LATCHED and self._latched_by_others:", "if False:"),
    ("supervision/supervisor.py", "judged_ns = max(now_ns, self._clock()) if self._clock is not None else now_ns", "judged_ns = now_ns"),
    ("supervision/sent_motion.py", "if not step <= _LATE_STEP:", "if False:"),
    ("supervision/supervisor.py", "if self._sent.stop.due(now_ns):", "if False:"),
    ("supervision/stop_watch.py", "if speed > STILL:", "if False:"),
    ("supervision/clock_watch.py", "moved -= self._before[1] - before[1]", "moved = 0"),
    ("supervision/supervisor.py", "            or self._signs.blind(now_ns, self.settings)\n            or self._signs.silent", "            or self._signs.silent"),
    ("supervision/supervisor.py", "elif (stale := self.cameras.stale(now_ns, self.settings.max_camera_age)) is not None:", "elif False:"),
    ("supervision/signs_of_life.py", "self.cameras.forget()", "pass"),
    ("supervision/camera_ages.py", "if known is None or stamp_ns > known:", "if True:"),
    ("supervision/camera_ages.py", "if age <= max_age:", "if True:"),
    ("response/planner.py", "if not echoes and end is not None and measured.stamp_ns < end + _SETTLING_NS:", "if False:"),
    ("supervision/other_publishers.py", "(*self._unheard, self.publishing)", "()"),
    ("supervision/supervisor.py", "if self.settings.dry_run:", "if False:"),
    ("supervision/other_publishers.py", "if silent and require_controllers:", "if False:"),
    ("supervision/supervisor.py", "if self._e_stop:\n            return \"the e-stop", "if False:\n            return \"the e-stop"),
    ("supervision/supervisor.py", "stop = self._brake(now_ns) if self.state is State.ARMED else None", "stop = None"),
    ("supervision/supervisor.py", "self._robot.stale(now_ns)\n            or self._signs.blind", "self._signs.blind"),
    ("supervision/robot_watch.py", "if age > self._max_state_age else", "if False else"),
    ("supervision/signs_of_life.py", "if silence > settings.silence_timeout else", "if False else"),
    ("supervision/robot_watch.py", "return found.reason if found.state is FollowingState.LOST else \"\"\n\n    def reference", "return \"\"\n\n    def reference"),
    ("supervision/supervisor.py", "if verdict.trajectory is not None and self._robot.unsure and self.state is State.ARMED:", "if False:"),
    ("supervision/supervisor.py", "if self.settings.brake_on_reject:", "if False:"),
    ("supervision/supervisor.py", "if self.settings.latch_after and", "if False and"),
    ("supervision/supervisor.py", "and self.moving(now_ns) and trajectory.stamp_ns < self._source_stamp", "and False"),
    ("supervision/robot_watch.py", "if problem := self._states.accept(state, now_ns):", "if False:"),
    ("supervision/supervisor.py", "self.counters.consecutive_rejects = 0\n            if self.state", "if self.state"),
    ("../trajectory/extrema.py", "inner = _roots(derivative(unit))", "inner = 0.0 * _roots(derivative(unit))"),
    ("../trajectory/extrema.py", "above = (evaluate(unit, middle) > 0.0) == rising", "above = evaluate(unit, middle) > 0.0"),
    ("../trajectory/extrema.py", "above = ~(values <= bound[:, None])", "above = values > bound[:, None]"),
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change to one file."""

    name: str
    file: str
    text: str


def listed() -> Iterator[Mutant]:
    for index, (file, old, new) in enumerate(LINES):
        path = ROOT / GUARD / file
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise SystemExit(f"mutant {index}: {file} no longer holds {old!r}")
        short = " ".join(old.split())[:60]
        yield Mutant(f"{file}: {short}", f"{GUARD}/{file}", text.replace(old, new, 1))


def silenced() -> Iterator[Mutant]:
    """Every check class finds nothing; every terminal check passes."""
    for path in sorted((ROOT / GUARD / "checks").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                named = any(isinstance(b, ast.Assign) and getattr(b.targets[0], "id", "") == "name" for b in node.body)
                call = next((b for b in node.body if getattr(b, "name", "") in ("__call__", "refuse")), None)
                if named and isinstance(call, ast.FunctionDef):
                    yield _returning(path, text, call, node.name)
            elif isinstance(node, ast.FunctionDef) and path.stem in ("intake", "freshness"):
                returns = ast.unparse(node.returns) if node.returns else ""
                if returns.startswith("list[Violation]"):
                    yield _returning(path, text, node, node.name)
                elif returns == "Violation | None":
                    yield _returning(path, text, node, node.name, "None")


def _returning(path: Path, text: str, function: ast.FunctionDef, name: str, value: str = "[]") -> Mutant:
    lines = text.split("\n")
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(function.body) > 1:
        first = function.body[1]
    lines.insert(first.lineno - 1, " " * first.col_offset + f"return {value}")
    file = str(path.relative_to(ROOT))
    return Mutant(f"{path.name}: {name} finds nothing", file, "\n".join(lines))


def killed_by(folder: Path, mutant: Mutant | None) -> str | None:
    """Return the first failing test of the mutant, or None when all pass."""
    original = None
    if mutant is not None:
        target = (folder / mutant.file).resolve()
        original = target.read_text(encoding="utf-8")
        target.write_text(mutant.text, encoding="utf-8")
    environment = {**os.environ, "COSMOS_ROS_GUARD_CASES": "300", "PYTHONDONTWRITEBYTECODE": "1", "CI": "1"}
    cases = ROOT.parent / "shared" / "data" / "limit_cases.json"
    if "COSMOS_ROS_LIMIT_CASES" not in environment and cases.is_file():
        environment["COSMOS_ROS_LIMIT_CASES"] = str(cases)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", "-m", "not nightly", "--no-header"]
    done = subprocess.run(
        [*command, *(f"test/guard/{name}" for name in TESTS)],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    if mutant is not None and original is not None:
        target.write_text(original, encoding="utf-8")
    if done.returncode == 0:
        return None
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0].removeprefix("FAILED test/guard/") if failed else done.stdout[-300:]


def main(words: list[str]) -> int:
    mutants = [m for m in (*silenced(), *listed()) if not words or any(word in m.name for word in words)]
    survivors = []
    with tempfile.TemporaryDirectory(prefix="guard_mutants_") as name:
        folder = Path(name)
        for part in COPIED:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            else:
                shutil.copy(source, folder / part)
        if (problem := killed_by(folder, None)) is not None:
            print(f"the tests fail without a mutant: {problem}")
            return 2
        for number, mutant in enumerate(mutants, 1):
            began = time.monotonic()
            killer = killed_by(folder, mutant)
            print(
                f"{number:3d}/{len(mutants)} {'SURVIVES' if killer is None else 'killed'} {mutant.name}"
                f" {f'by {killer}' if killer else ''} ({time.monotonic() - began:.0f} s)",
                flush=True,
            )
            if killer is None:
                survivors.append(mutant.name)
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} mutants were noticed")
    for survivor in survivors:
        print(f"  not noticed: {survivor}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
