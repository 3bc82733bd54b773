"""The ``cosmos-ros`` command. One file a verb; each has ``add_parser`` and imports heavy things only when run."""
