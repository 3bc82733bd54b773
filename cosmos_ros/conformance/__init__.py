"""Worked cases: trajectories and chunks with the verdicts they must get, from a JSON file."""
