"""Predict what happens next from one image: six lines, without ROS.

The model is ``flow``, which needs no weights; ``cosmos3`` and the servers are opened in the same way. Prints the size
of the predicted frames and the motion that goes with them.
"""

import sys

import cv2
import numpy as np

import cosmos_ros as cr

if len(sys.argv) > 1:
    image = cv2.cvtColor(cv2.imread(sys.argv[1]), cv2.COLOR_BGR2RGB)
else:
    image = np.random.default_rng(0).integers(0, 256, (180, 320, 3), dtype=np.uint8)

franka = cr.load_embodiment("franka")
observation = cr.Observation.now({"exterior_1": image}, franka.home, "put the cup on the plate")
with cr.open_world_model("flow", embodiment=franka) as model:
    black = frozenset(franka.views) - {"exterior_1"}
    prediction = cr.Pipeline(franka, model, cr.PipelineSettings(blank_views=black)).predict(observation)

count, height, width, _ = prediction.rollout.frames.shape
print(f"{count} frames of {width} x {height}, by {model.name}")
print(f"{len(prediction.trajectory.times_ns)} points for {', '.join(prediction.trajectory.joint_names)}")
