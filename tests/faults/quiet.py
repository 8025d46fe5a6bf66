"""A logger that says nothing."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from structlog.stdlib import BoundLogger


def quiet() -> BoundLogger:
    """Takes everything and costs little."""
    logger = logging.getLogger("evenkeel.test.simulated")
    logger.addHandler(logging.NullHandler())
    logger.propagate, logger.disabled = False, True
    wrapped: BoundLogger = structlog.wrap_logger(logger, processors=[_dropped], wrapper_class=BoundLogger)
    return wrapped


def _dropped(*_: Any) -> Any:
    raise structlog.DropEvent
