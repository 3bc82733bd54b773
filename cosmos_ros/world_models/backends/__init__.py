"""One file a backend: its declaration ``BACKEND``, and, where it is short, its implementation."""
