"""World models behind a server: vLLM-Omni, NIM and OpenPI websockets."""
