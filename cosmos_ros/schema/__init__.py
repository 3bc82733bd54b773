"""Configuration files as checked, frozen dataclasses, with the standard library alone.

A file's fields are declared once, by the annotations of dataclasses derived from ``Record`` and by ``declare``. From
these come the checks with errors that name the field, the JSON schema, and the values written out again. ROS
distributions ship different major versions of the libraries that do the same, which is why none is used.
"""

from cosmos_ros.schema.fields import Constraint, FieldError, Record, declare, plain
from cosmos_ros.schema.json_schema import json_schema
from cosmos_ros.schema.reading import Problem, RecordError, read

__all__ = ["Constraint", "FieldError", "Problem", "Record", "RecordError", "declare", "json_schema", "plain", "read"]
