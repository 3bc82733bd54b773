"""Whole episodes in virtual time: the task is solved, nothing is broken, and the recording can be learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosmos_ros.guard import Guard, Response
from cosmos_ros.sim.episode import EpisodeSettings, run_episode
from cosmos_ros.sim.scripted_expert import Expert, ExpertOptions


@pytest.fixture(scope="module")
def expert():
    made = Expert(ExpertOptions(frames=False))
    made.load()
    return made


@pytest.fixture(scope="module")
def episode(franka, expert):
    return run_episode(franka, expert, seed=0)


def check(episode) -> None:
    limits = episode.status["limit_violations"]
    assert episode.seconds is not None, (episode.seed, episode.phases)
    assert episode.seconds < 25.0
    assert limits["total"] == 0, limits
    assert max(limits["velocity_use"].values()) < 0.6  # it is a calm motion
    assert episode.rejections == ()
    assert episode.status["refused_setpoints"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_task_is_solved_within_all_limits(franka, expert, seed) -> None:
    check(run_episode(franka, expert, seed=seed))


@pytest.mark.parametrize(("latency", "replan"), [(0.02, 0.2), (0.3, 0.5)])
def test_whatever_the_latency(franka, expert, latency, replan) -> None:
    check(run_episode(franka, expert, seed=5, settings=EpisodeSettings(latency=latency, replan=replan)))


@pytest.mark.parametrize(
    "instruction", ["move the yellow cube onto the green pad", "stack the red cube on the blue cube"]
)
def test_other_tasks(franka, expert, instruction) -> None:
    check(run_episode(franka, expert, seed=1, settings=EpisodeSettings(instruction=instruction)))


def test_the_guard_lets_the_plan_pass_as_it_is(franka, expert) -> None:
    guard = Guard.for_embodiment(franka)
    guarded = run_episode(franka, expert, seed=3, guard=guard)
    check(guarded)
    assert guarded.verdicts
    assert all(verdict.response is Response.ACCEPT for verdict in guarded.verdicts)


def test_an_episode_can_be_repeated_exactly(franka, expert, episode) -> None:
    again = run_episode(franka, expert, seed=0)
    assert again.seconds == episode.seconds
    assert again.phases == episode.phases
    for one, other in zip(episode.observations, again.observations, strict=True):
        assert np.array_equal(one.joints.positions, other.joints.positions)


def test_says_that_it_was_scripted_and_what_happened(episode) -> None:
    assert episode.scripted
    assert [p for p in ("above", "close", "carry", "open") if p in episode.phases]
    assert {"above", "close"} <= set(episode.phases)
    stamps = np.array([o.stamp_ns for o in episode.observations])
    assert np.abs(np.diff(stamps) - 1e9 / 15.0).max() <= 2e6  # one physics step


def test_recorded_actions_lead_from_state_to_state(franka, episode) -> None:
    """The recording is training data: its actions, decoded, are the motion that was observed."""
    actions = episode.actions(franka)
    assert actions.shape == (len(episode.observations) - 1, franka.action_dim)
    assert np.abs(actions).max() <= 1.0
    first = episode.observations[0]
    chunk = franka.decode_actions(actions.astype(np.float64), franka.tool_poses(first))
    reached = franka.tool_poses(episode.observations[-1])["panda_link8"]
    assert np.linalg.norm(chunk.poses["panda_link8"][-1][:3, 3] - reached[:3, 3]) < 2e-3
    grips = chunk.grippers["gripper"]
    assert grips.min() < 0.45 < 0.85 < grips.max()


def test_gives_up_in_time(franka, expert) -> None:
    short = run_episode(franka, expert, seed=0, settings=EpisodeSettings(longest=2.0))
    assert short.seconds is None
    assert short.observations[-1].stamp_ns - short.observations[0].stamp_ns <= 2_000_000_000


def test_images(gl, franka, expert) -> None:
    seen = run_episode(franka, expert, seed=0, settings=EpisodeSettings(longest=0.5, image_size=(64, 36)))
    images = seen.observations[-1].images
    assert set(images) == set(franka.views)
    assert all(image.shape == (36, 64, 3) and image.std() > 5.0 for image in images.values())


def test_answers_that_cannot_be_reached_are_left_out_and_named(franka, expert) -> None:
    class Wild:
        """The expert, but every second answer goes far away."""

        name, asked = "wild", 0

        def __getattr__(self, name: str):
            return getattr(expert, name)

        def predict(self, request):
            self.asked += 1
            rollout = expert.predict(request)
            if self.asked % 2:
                return rollout
            actions = rollout.actions.copy()
            actions[:, :3] = 1.0
            return replace(rollout, actions=actions)

    run = run_episode(franka, Wild(), seed=0, settings=EpisodeSettings(longest=8.0))
    assert run.failures and all("pose" in reason for reason in run.failures)
    assert run.trajectories and run.rejections == ()
