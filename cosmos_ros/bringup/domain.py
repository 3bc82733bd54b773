"""A DDS domain of one's own, so that a demo or a test neither hears nor moves anybody else's robot."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

from cosmos_ros.errors import ConfigError

# Domains above 101 collide with ephemeral ports on Linux (DDS port formula); 0 is everybody's default.
_DOMAINS = range(20, 102)
_LOCK_PORT = 52800


@contextlib.contextmanager
def private_domain() -> Iterator[int]:
    """Reserve a domain id on this machine for as long as the context lasts.

    The reservation is a listening loopback port, so the kernel gives it back however the process ends.

    Raises:
        ConfigError: All of them are taken.
    """
    start = os.getpid() % len(_DOMAINS)
    for index in range(len(_DOMAINS)):
        domain = _DOMAINS[(start + index) % len(_DOMAINS)]
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as lock:
            try:
                lock.bind(("127.0.0.1", _LOCK_PORT + domain))
                lock.listen(1)
            except OSError:
                continue
            yield domain
            return
    raise ConfigError("no free DDS domain on this machine", where="ROS_DOMAIN_ID", hint="End other demos or tests.")


def private_environment(domain: int) -> dict[str, str]:
    """Return the variables that keep a process on a domain and on this machine."""
    return {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
