"""The predictor: cameras, joint states and an instruction in; predicted frames and a candidate trajectory out.

Callbacks only keep the newest messages. The world model runs in a worker thread; its result wakes the executor,
which joins it to the motion being executed and publishes it. Everything that can go wrong ends in a line on
``/diagnostics`` and in holding: nothing new is published, and what was published ends at rest.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.messages import joint_trajectory_from_message, joint_trajectory_message
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.clocks import steady_clock
from cosmos_ros.nodes.described_robot import load_described
from cosmos_ros.nodes.diagnostics import ERROR, OK, WARN, Diagnostics
from cosmos_ros.nodes.dynamics_services import DynamicsServices, Question
from cosmos_ros.nodes.executor import call_soon
from cosmos_ros.nodes.node_process import run
from cosmos_ros.nodes.parameters import declare
from cosmos_ros.nodes.prediction_publisher import PredictionPublisher
from cosmos_ros.nodes.predictor_inputs import PredictorInputs
from cosmos_ros.nodes.predictor_parameters import (
    parameters,
    sampler_settings,
    world_model_options,
)
from cosmos_ros.observation import Snapshot
from cosmos_ros.observation.camera_topics import parse_cameras
from cosmos_ros.prediction.pipeline import Pipeline, PipelineSettings, Prediction
from cosmos_ros.prediction.state_api import StateRollout
from cosmos_ros.settings import pick
from cosmos_ros.trajectory.joiner import Joined, Joiner, JoinSettings
from cosmos_ros.types import NANOSECONDS
from cosmos_ros.types import JointTrajectory as TrajectoryRecord
from cosmos_ros.worker import WorkerThread
from cosmos_ros.world_models import create_world_model

# A prediction that takes no longer than this is not delayed by looking at the graph.
_BRIEF_S = 0.05


class Predictor(LifecycleNode):
    """Lifecycle node around the pipeline. Configure loads the model, activate subscribes and predicts."""

    def __init__(self) -> None:
        super().__init__("predictor")
        self._values = declare(self, parameters(), on_change=self._on_parameter)
        self._diagnostics = Diagnostics(self, hardware_id="cosmos_ros")
        self._diagnostics.set("state", WARN, "unconfigured", expected=True)
        self._embodiment: Embodiment | None = None
        self._pipeline: Pipeline | None = None
        self._engine: WorkerThread[Snapshot | Question, Prediction | StateRollout] | None = None
        self._publisher: PredictionPublisher | None = None
        self._decoders = ThreadPoolExecutor(max_workers=2, thread_name_prefix="decode")
        self._inputs: PredictorInputs | None = None
        self._owned: list[tuple[Callable[[Any], Any], Any]] = []
        self._joiner: Joiner | None = None
        self._dynamics: DynamicsServices | None = None
        self._newest: Snapshot | None = None
        self._predictions = self._failures = self._starved = self._dropped = 0
        self._told: str | None = None  # the instruction of the model's session
        self._epoch = 0
        self._look_due = False
        if self._values["autostart"] and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    # -- lifecycle ------------------------------------------------------------------------------------------------

    def on_configure(self, _: State) -> TransitionCallbackReturn:
        """Load the embodiment and the world model, and make the publishers."""
        try:
            self._configure()
        except Exception as error:  # a model's loader may raise anything
            self._release()
            self._diagnostics.set("state", ERROR, f"not configured: {type(error).__name__}: {error}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        values = self._values
        description = values["robot_description"]
        embodiment = load_described(
            self, values["embodiment"], description, self._diagnostics, fps=values["fps"] or None
        )
        self._topics = parse_cameras(values["cameras"], embodiment.views)
        self._diagnostics.set("state", WARN, f"loading world model {values['world_model']}", expected=True)
        options = world_model_options(values)
        model = create_world_model(values["world_model"], **options)
        blank = frozenset(embodiment.views) - set(self._topics)
        pipeline = Pipeline(
            embodiment,
            model,
            PipelineSettings(
                seed=values["seed"],
                chunk_size=values["chunk_size"] or None,
                negative_prompt=values["negative_prompt"],
                sampler=sampler_settings(values),
                blank_views=blank,
            ),
        )
        model.load()
        self._embodiment, self._pipeline = embodiment, pipeline
        self._joiner = Joiner(embodiment.limits.joints, embodiment.gripper_speeds)
        self._candidate = self.create_publisher(JointTrajectory, "~/action_trajectory", qos.reliable())
        named = {"name": values["world_model"], "options": options}
        self._publisher = PredictionPublisher(self, embodiment, model, values["prediction_log"], named)
        if blank:
            text = f"no camera for {', '.join(sorted(blank))}: black on the canvas"
            self._diagnostics.set("views", WARN, text, expected=True)
        scripted = "; SCRIPTED, not predicted" if model.capabilities.scripted else ""
        self._model_text = f"{embodiment.name} with world model {model.name}{scripted}"
        self._diagnostics.set("state", WARN, f"inactive: {self._model_text}", expected=True)

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        assert self._embodiment is not None
        assert self._pipeline is not None
        self._engine = WorkerThread(self._work, lambda: call_soon(self, self._on_done), name="world_model")
        assert self._publisher is not None
        self._dynamics = DynamicsServices(
            self, self._pipeline, self._topics, lambda: self._newest, self._commanded, self._publisher.publish_states
        )
        self._inputs = PredictorInputs(
            self,
            self._pipeline,
            self._topics,
            self._values,
            self._diagnostics,
            dynamics=self._dynamics,
            decoders=self._decoders,
            idle=lambda: self._engine is not None and self._engine.idle,
            on_input=self._poll,
        )
        for topic, _ in self._embodiment.controllers:
            commanded = partial(self._on_commanded, topic)
            subscription = self.create_subscription(JointTrajectory, topic, commanded, qos.reliable(5))
            self._owned.append((self.destroy_subscription, subscription))
        service = self.create_service(Trigger, "~/reset", self._on_reset)
        self._owned.append((self.destroy_service, service))
        for period, callback in ((0.25, self._look_at_inputs), (0.02, self._poll)):
            self._owned.append((self.destroy_timer, self.create_timer(period, callback, clock=steady_clock())))
        self._look_at_inputs()
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Stop predicting and drop the subscriptions; the model stays loaded."""
        self._stop()
        if self._pipeline is not None:
            self._diagnostics.set("state", WARN, f"inactive: {self._model_text}", expected=True)
        return super().on_deactivate(state)

    def on_cleanup(self, _: State) -> TransitionCallbackReturn:
        """Release the model."""
        self._release()
        self._diagnostics.set("state", WARN, "unconfigured", expected=True)
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, _: State) -> TransitionCallbackReturn:
        """Stop and release everything."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Release the model before the node goes."""
        self._release()
        super().destroy_node()

    def _stop(self) -> None:
        for destroy, entity in self._owned:
            destroy(entity)
        self._owned.clear()
        if self._inputs is not None:
            self._inputs.close()
        if self._pipeline is not None and self._engine is not None and not self._engine.idle:
            # Models that can be interrupted (servers, long samplers) say so by having the method.
            getattr(self._pipeline.world_model, "cancel", lambda: None)()
        if self._engine is not None and not self._engine.stop():
            self.get_logger().warning("the world model is still running; its answer will be ignored")
        if self._dynamics is not None:
            self._dynamics.close()
        self._engine = self._inputs = self._dynamics = self._newest = None
        self._forget_motion()

    def _forget_motion(self) -> None:
        if self._joiner is not None:
            self._joiner.forget()

    def _release(self) -> None:
        self._stop()
        if self._pipeline is not None:
            self._pipeline.world_model.close()
            self.destroy_publisher(self._candidate)
        if self._publisher is not None:
            self._publisher.close()
        self._pipeline = self._embodiment = self._publisher = None

    # -- callbacks ------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_commanded(self, controller: str, message: JointTrajectory) -> None:
        if self._joiner is None:
            return
        try:
            self._joiner.sent(joint_trajectory_from_message(message, topic=controller), self._now())
        except InputError as error:
            self._diagnostics.set("commands", WARN, str(error))
        self._poll()  # a model that continues what is executed waits for it

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._inputs is not None and self._engine is not None:
            self._engine.cancel_pending()
            self._inputs.reset()
            self._forget_motion()
            self._newest = self._told = None
            self._predictions = self._failures = self._starved = self._dropped = 0
        response.success, response.message = True, "buffers and counters are empty"
        return response

    def _on_parameter(self, name: str, _: Any) -> None:
        if self._inputs is not None:
            self._inputs.parameter_changed(name)
        if name == "seed" and self._pipeline is not None:
            self._pipeline.reseed(self._values["seed"])

    def _commanded(self) -> TrajectoryRecord | None:
        """Return what the first controller, the arm's, was sent last."""
        if self._joiner is None or self._embodiment is None or not self._embodiment.controllers:
            return None
        arm = set(self._embodiment.controllers[0][1])
        newest = (command.trajectory for command in self._joiner.executed.current)
        return next((trajectory for trajectory in newest if arm <= set(trajectory.joint_names)), None)

    # -- predicting -----------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """Give the worker the newest inputs whenever it is free."""
        if self._inputs is None or self._engine is None or not self._engine.idle:
            return
        question = self._dynamics.next_question() if self._dynamics is not None else None
        if question is not None:
            self._engine.submit(question)
            return
        if self._inputs.lacking or self._undecided():
            return
        snapshot = self._inputs.synchroniser.take(self._now())
        # Images from before a new instruction are not asked about: the answer would be to the earlier one.
        if snapshot is not None and snapshot.instruction == self._inputs.synchroniser.instruction:
            if snapshot.instruction != self._told and self._pipeline is not None:
                self._told = snapshot.instruction
                # Models that remember earlier requests say so by having the method.
                getattr(self._pipeline.world_model, "new_session", lambda: None)()
            self._newest = snapshot
            self._engine.submit(snapshot)

    def _undecided(self) -> bool:
        """Whether the model continues what is executed, and what that will be is not known yet."""
        joiner, pipeline = self._joiner, self._pipeline
        if joiner is None or pipeline is None or not joiner.undecided(self._now()):
            return False
        return pipeline.continues(pick(JoinSettings, self._values))

    def _work(self, job: Snapshot | Question) -> Prediction | StateRollout:
        """Runs in the worker: the only thread that touches the world model."""
        return job.job() if isinstance(job, Question) else self._predict(job)

    def _predict(self, snapshot: Snapshot) -> Prediction:
        assert self._pipeline is not None
        started_ns = self._now()
        begin = time.perf_counter()
        previous_images = self._pipeline.uses_previous_image
        observation = snapshot.build(previous_images=previous_images, pool=self._decoders)
        decoded = time.perf_counter()
        prediction = self._pipeline.predict(observation, self._joiner, pick(JoinSettings, self._values))
        before = {"wait": (started_ns - snapshot.received_ns) / 1e6, "images": (decoded - begin) * 1e3}
        return replace(prediction, latencies_ms={**before, **prediction.latencies_ms})

    def _on_done(self) -> None:
        """Runs in the executor when the worker has finished a job."""
        while self._engine is not None and (done := self._engine.take()) is not None:
            if isinstance(done.job, Question):
                done.job.answer(done.result, done.error)
            elif done.result is None:
                self._failures += 1
                if done.trace:
                    self.get_logger().debug(done.trace)
                self._diagnostics.set("prediction", ERROR, f"holding: {done.error}", self._counters())
            elif isinstance(done.result, Prediction) and (why := self._outdated(done.job)):
                self._dropped += 1
                self._diagnostics.set("prediction", WARN, f"holding: dropped {why}", self._counters())
            elif isinstance(done.result, Prediction):
                try:
                    self._publish(done.result, done.job)
                except Exception as error:  # one prediction that cannot be joined must not end the node
                    self._failures += 1
                    text = f"holding: {type(error).__name__}: {error}"
                    self._diagnostics.set("prediction", ERROR, text, self._counters())
        if self._look_due:
            self._look_at_inputs()
        self._poll()

    def _outdated(self, snapshot: Snapshot) -> str:
        """Return why an answer is no longer one to the question that would be asked now, or empty."""
        if self._inputs is None or snapshot is not self._newest:
            return "an answer from before the reset"
        if snapshot.epoch != self._inputs.synchroniser.epoch:
            return "an answer from before the clock was reset"
        if snapshot.instruction != self._inputs.synchroniser.instruction:
            return "an answer to an earlier instruction"
        age = (self._now() - snapshot.stamp_ns) / NANOSECONDS
        limit = self._values["max_prediction_age"]
        return f"an answer whose observation is {age:.1f} s old (max_prediction_age {limit:g} s)" if age > limit else ""

    def _publish(self, prediction: Prediction, snapshot: Snapshot) -> None:
        """Publish the trajectory first; a thread of its own publishes the rest."""
        self._predictions += 1
        begin_ns = self._now()
        joined = Joined(None, {})
        if prediction.trajectory is not None:
            joined = self._join(prediction.trajectory)
            if joined.trajectory is not None:
                self._candidate.publish(joint_trajectory_message(joined.trajectory))
            else:
                self._starved += 1
        if self._publisher is not None:
            times = {"received_ns": snapshot.received_ns, "joined_ns": begin_ns, "published_ns": self._now()}
            self._publisher.publish(prediction, {**times, "join": joined.record})
        if joined.reason:
            self._diagnostics.set("prediction", WARN, f"holding: {joined.reason}", self._counters())
        else:
            values = {**self._counters(), **{f"{k} [ms]": f"{v:.1f}" for k, v in prediction.latencies_ms.items()}}
            scripted = " (SCRIPTED)" if prediction.input_provenance["scripted"] else ""
            self._diagnostics.set("prediction", OK, f"predicting{scripted}", values)

    def _join(self, trajectory: TrajectoryRecord) -> Joined:
        assert self._joiner is not None
        assert self._inputs is not None
        measured = self._inputs.synchroniser.newest_joint_state()
        return self._joiner.join(trajectory, self._now(), measured, pick(JoinSettings, self._values))

    # -- reporting ------------------------------------------------------------------------------------------------

    def _counters(self) -> dict[str, Any]:
        counts = {"predictions": self._predictions, "failures": self._failures, "starved": self._starved}
        counts["dropped"] = self._dropped
        model = None if self._pipeline is None else getattr(self._pipeline.world_model, "status", None)
        status = {} if model is None else {f"model {key}": value for key, value in model().items()}
        return {**counts, "replaced": self._engine.replaced if self._engine is not None else 0, **status}

    def _look_at_inputs(self) -> None:
        inputs, engine = self._inputs, self._engine
        if inputs is None or engine is None:
            return
        synchroniser = inputs.synchroniser
        if synchroniser.epoch != self._epoch:
            self._epoch = synchroniser.epoch
            self._forget_motion()
            engine.cancel_pending()
            self._diagnostics.set("clock", WARN, f"holding: {synchroniser.last_reset}; buffers were emptied")
        busy = engine.busy_seconds()
        self._look_due = 0.0 < busy < _BRIEF_S
        if self._look_due:
            return  # it takes milliseconds that the trajectory would wait for; done when that is published
        inputs.report()
        if self._publisher is not None:
            problem = self._publisher.problem
            self._diagnostics.set(
                "outputs", WARN if problem else OK, problem or "provenance, poses and images are published"
            )
        if busy > self._values["model_timeout"]:
            limit = self._values["model_timeout"]
            self._diagnostics.set("prediction", ERROR, f"holding: no answer from the world model for over {limit:g} s")
        self._diagnostics.set("state", OK, f"active: {self._model_text}")


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    # OpenCV's threads wait for each other by spinning, on the cores that decode the next image.
    cv2.setNumThreads(1)
    return run(Predictor, args)


if __name__ == "__main__":
    sys.exit(main())
