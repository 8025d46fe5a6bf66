"""The desk's one guard: around a turn, what is asked between two turns, and the stream's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from structlog.stdlib import BoundLogger

from evenkeel.errors import StateError, StoppedError

T = TypeVar("T")


def survived(log: BoundLogger, event: str, work: Callable[[], T], failed: Callable[[Exception], T], **said: str) -> T:
    """What the work gives; after an error that nobody foresaw, which is logged with its traceback, what `failed` gives.

    Raises StateError where the disk refuses, StoppedError when asked to stop.
    """
    try:
        return work()
    except (StateError, StoppedError):
        raise
    except Exception as error:
        log.error(event, **said, error=repr(error), exc_info=error)  # noqa: TRY400 - as is
        return failed(error)
