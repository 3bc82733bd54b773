"""Evaluation: predictions against what a recording then shows, chunk by chunk; reports, comparisons, judged recordings."""
