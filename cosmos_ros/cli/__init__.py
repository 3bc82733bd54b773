"""The ``cosmos-ros`` command. One file a verb: its docstring is the verb's line of help, its ``VERB`` a dataclass.

``tyro`` makes the options from the dataclass and its docstring; then its ``run`` is called, which returns the exit
status. A verb with several actions has a dict of dataclasses by action. A file is imported only when its verb runs.
"""
