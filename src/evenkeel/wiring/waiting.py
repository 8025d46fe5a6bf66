"""Waits that end when the program is asked to stop."""

from __future__ import annotations

import threading

from evenkeel.errors import StoppedError


def wait(stop: threading.Event, seconds: float) -> None:
    """Sleep that ends with StoppedError when the program is asked to stop."""
    if stop.wait(seconds):
        raise StoppedError("asked to stop while waiting")
