"""Make a recorded prediction again: every prediction leaves what it takes in its log.

Predicts once and writes the log as the node does (``prediction_log:=FILE``); then reads its last line, asks the model
named there the same, and compares bit by bit. ``cosmos-ros replay-request FILE`` does the same from the command line.
"""

import tempfile
from pathlib import Path

import numpy as np

import cosmos_ros as cr
from cosmos_ros.prediction.prediction_log import PredictionLog, image_folder, read_line, replay

franka = cr.load_embodiment("franka")
rng = np.random.default_rng(1)
views = {view: rng.integers(0, 256, (180, 320, 3), dtype=np.uint8) for view in franka.views}
observation = cr.Observation.now(views, franka.home, "open the drawer")

with tempfile.TemporaryDirectory() as folder, cr.open_world_model("flow", embodiment=franka) as model:
    path = Path(folder) / "predictions.jsonl"
    log = PredictionLog(path)
    prediction = cr.Pipeline(franka, model, cr.PipelineSettings(seed=3)).predict(observation)
    log.write(prediction.provenance, prediction.request, prediction.rollout)
    log.close()

    record, _ = read_line(str(path))
    again = replay(record, model, image_folder(path))
    print(f"asked {model.name} again with seed 3: {'the same' if again.same else 'different'}")
    print(f"largest difference {again.largest_difference}")
