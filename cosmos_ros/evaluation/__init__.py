"""Evaluation: predictions against what a recording then shows; reports, comparisons and judged recordings."""
