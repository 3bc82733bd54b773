"""How every node's process runs: one single-threaded executor, clean on SIGINT and SIGTERM, errors in one line."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException

from cosmos_ros.errors import CosmosRosError
from cosmos_ros.messages.shared_memory import remove_own
from cosmos_ros.nodes.executor import make_executor, spin


def run(make_node: Callable[[], Any], args: Sequence[str] | None = None, *, executor: str = "events") -> int:
    """Make a node, spin it until SIGINT or SIGTERM, destroy it; return the exit status.

    A CosmosRosError while making the node (a wrong parameter, a missing file) ends in one line and status 2.
    """
    # Without a short switch interval, a worker in pure Python delays callbacks by up to 5 ms a switch.
    sys.setswitchinterval(0.0005)
    rclpy.init(args=args)
    node = spun = None
    try:
        node = make_node()
        spun = make_executor(executor)
        spun.add_node(node)
        # What was imported and loaded stays: a full collection would look at all of it, for a tenth of a second.
        gc.collect()
        gc.freeze()
        spin(spun)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        # rclpy raises this out of a take that a signal interrupted; while running it is a fault like any other.
        if rclpy.ok():
            raise
    except CosmosRosError as error:
        print(f"{error.__class__.__name__}: {error}", file=sys.stderr, flush=True)
        return 2
    finally:
        # Ctrl-C on `ros2 launch` reaches a node twice, from the terminal and from launch; the second must not cut
        # the clean-up short.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    made, node, spun = node is not None, None, None
    # Handles in reference cycles keep the participant, and with it its shared memory, beyond the end of the process.
    gc.unfreeze()
    gc.collect()
    if not made:
        # Stopped while the node was made: a thread of its own may be in native code, and would crash the interpreter's
        # end. There is nothing else to clean up.
        remove_own()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0
