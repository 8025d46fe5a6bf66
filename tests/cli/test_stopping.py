"""SIGTERM and SIGINT set the event whatever the main thread is doing."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from evenkeel.cli.opening import stopping

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_sets_the_event_though_its_lock_is_held(number):
    """A handler that called `set` itself would wait for the lock that the thread under it holds, for ever."""
    stop = threading.Event()
    with stopping(stop):
        with stop._cond:  # where `stop.wait` is for a moment
            os.kill(os.getpid(), number)
        assert stop.wait(60)


def test_a_signal_that_another_thread_receives_wakes_a_main_thread_that_waits():
    stop = threading.Event()
    with stopping(stop):
        other = threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
        other.start()
        assert stop.wait(60)
        other.join()


def test_what_handled_signals_before_does_so_again():
    before = [signal.getsignal(number) for number in SIGNALS]
    stop = threading.Event()

    with stopping(stop):
        pass

    assert [signal.getsignal(number) for number in SIGNALS] == before
    for thread in [t for t in threading.enumerate() if t.name == "signals"]:
        thread.join(60)
    assert not stop.is_set()
