"""The version, written once in the code; package.xml repeats it, and a check compares."""

__version__ = "0.1.0"
