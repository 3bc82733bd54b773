"""From an observation to a candidate trajectory: the pipeline, state-level calls, provenance and the prediction log."""
