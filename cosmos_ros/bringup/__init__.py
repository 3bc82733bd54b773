"""Which processes make a running system: listed once, used by the launch files and by ``cosmos-ros up``."""
