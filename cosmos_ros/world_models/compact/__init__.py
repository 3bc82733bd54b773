"""The small learned world model that runs with ONNX Runtime: what it is given, its files, its answers."""
