"""logs/evenkeel.jsonl: one JSON object a line, rotated by size, secrets redacted.

Every line has `wall` (when it was written), `level`, `event`, `mode`, `config`, and `slot` where one is running.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import orjson
import structlog

from evenkeel.errors import StateError

FILE = "evenkeel.jsonl"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def open_log(
    home: Path,
    *,
    level: str,
    rotate_mb: int,
    keep: int,
    bound: Mapping[str, str],
    redact: tuple[str, ...] = (),
    file: str = FILE,
) -> structlog.stdlib.BoundLogger:
    """A logger that writes to `<home>/logs/evenkeel.jsonl`; `redact` values never reach the file.

    file  another name: two processes do not write one file

    Raises StateError when the folder cannot be written.
    """
    path = home / "logs" / file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _File(path, maxBytes=rotate_mb * 1_000_000, backupCount=keep, encoding="utf-8")
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}; make the folder writable") from error
    handler.setFormatter(logging.Formatter("%(message)s"))
    out = logging.getLogger(f"evenkeel.file.{path}")
    for old in list(out.handlers):
        out.removeHandler(old)
        old.close()
    out.addHandler(handler)
    out.setLevel(_LEVELS[level])
    out.propagate = False
    return structlog.wrap_logger(  # type: ignore[no-any-return]
        out,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="wall"),
            structlog.processors.format_exc_info,
            _Redactor(redact),
            _render,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    ).bind(**bound)


class _File(RotatingFileHandler):
    """A log file that drops lines on a full disk, and counts them, instead of printing tracebacks."""

    dropped = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Count a line that could not be written; the next one that can says how many are missing."""
        del record
        self.dropped += 1

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, after one that owns up to lost ones."""
        lost, self.dropped = self.dropped, 0
        if lost:
            said = {"level": "error", "event": "log_lines_lost", "lines": lost}
            super().emit(logging.makeLogRecord({"msg": orjson.dumps(said).decode()}))
            if self.dropped:
                self.dropped = lost + 1
                return
        super().emit(record)


class _Redactor:
    """Replaces every known secret in every text of an event."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = tuple(s for s in secrets if s)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: self._clean(value) for key, value in event.items()} if self._secrets else event

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, "[redacted]")
        elif isinstance(value, Mapping):
            return {self._clean(k): self._clean(v) for k, v in value.items()}
        elif isinstance(value, list | tuple):
            return [self._clean(v) for v in value]
        return value


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    first = {key: event.pop(key) for key in ("wall", "level", "event", "slot") if key in event}
    return orjson.dumps({**first, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
