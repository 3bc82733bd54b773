from __future__ import annotations

import threading
import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String

from cosmos_ros.bringup.domain import private_domain
from cosmos_ros.errors import ConfigError
from cosmos_ros.nodes.executor import CHOICES, VARIABLE, call_soon, make_executor


@pytest.fixture(params=CHOICES)
def node(request, monkeypatch):
    monkeypatch.setenv(VARIABLE, request.param)
    with private_domain() as domain:
        rclpy.init(args=[], domain_id=domain)
        node = rclpy.create_node("spun")
        node.made = make_executor()
        node.made.add_node(node)
        yield node
        node.destroy_node()
        rclpy.try_shutdown()


def spin_until(node, condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        node.made.spin_once(timeout_sec=0.05)
    assert condition()


def test_another_thread_has_the_spinning_one_call(node):
    called: list[int] = []
    thread = threading.Thread(target=lambda: call_soon(node, lambda: called.append(threading.get_ident())))
    thread.start()
    spin_until(node, lambda: called)
    thread.join()
    assert called == [threading.get_ident()]


def test_a_call_wakes_an_executor_that_waits(node):
    called: list[float] = []
    threading.Timer(0.2, lambda: call_soon(node, lambda: called.append(time.monotonic()))).start()
    begin = time.monotonic()
    while not called and time.monotonic() - begin < 20.0:
        node.made.spin_once(timeout_sec=20.0)
    assert called and called[0] - begin < 10.0


def test_messages_and_timers_are_served(node):
    heard: list[str] = []
    node.create_subscription(String, "words", lambda message: heard.append(message.data), 10)
    publisher = node.create_publisher(String, "words", 10)
    node.create_timer(0.02, lambda: publisher.publish(String(data="here")))
    spin_until(node, lambda: len(heard) >= 3)


def test_a_callback_that_raises_ends_the_spin(node):
    def fail():
        raise ArithmeticError("broken")

    node.create_timer(0.01, fail)
    with pytest.raises(ArithmeticError, match="broken"):
        spin_until(node, lambda: False)


def test_nothing_is_called_when_nobody_spins():
    class Unspun:
        executor = None

    call_soon(Unspun(), lambda: pytest.fail("called"))


def test_single_can_be_asked_for_and_a_wrong_name_is_refused(monkeypatch):
    monkeypatch.setenv(VARIABLE, "single")
    with private_domain() as domain:
        rclpy.init(args=[], domain_id=domain)
        try:
            assert isinstance(make_executor(), SingleThreadedExecutor)
            monkeypatch.setenv(VARIABLE, "many")
            with pytest.raises(ConfigError, match="events, single"):
                make_executor()
        finally:
            rclpy.try_shutdown()
