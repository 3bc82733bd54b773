"""The engine: action chunks of Cosmos3 without the work that repeats from step to step and from chunk to chunk."""
