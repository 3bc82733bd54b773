"""Measurements: figures with the machine they were taken on, never a pass or fail by the clock."""
