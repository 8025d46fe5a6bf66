"""What was tried, kept where a team can browse it: MLflow, on its best effort.

The law: nothing that is computed depends on it. MLflow runs in a process of its own that is sent one JSON line per
event and never answers; dead, hanging, or full, it costs at most `patience_s` at the end and is then killed, and what
it said is handed back as a word. The run itself is written down by its bundle and ledger, not here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

PATIENCE_S = 15.0
_COMMAND = (sys.executable, "-m", "evenkeel.research.tracking")


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Where runs are tracked.

    uri  MLflow tracking URI: a server, or `sqlite:///...` of a local store · experiment  name of the group of runs
    """

    uri: str
    experiment: str = "alpha"
    patience_s: float = PATIENCE_S


def local_store(home: Path) -> str:
    """URI of the SQLite store of a home."""
    return f"sqlite:///{(home / 'data' / 'mlflow.db').resolve()}"


class Tracker:
    """A run that is being written down, perhaps. Every method returns at once and raises nothing of the tracker's."""

    def __init__(self, settings: TrackingSettings | None, command: Sequence[str] = _COMMAND) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._word = "off"
        if settings is not None:
            self._patience_s = settings.patience_s
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
            self._start(settings, command)

    def params(self, values: Mapping[str, Any], experiment: str | None = None) -> None:
        """What the run was asked to do; of an `experiment` where several are written down side by side."""
        named = {name: str(value)[:250] for name, value in values.items()}
        self._send({"params": named, **_of(experiment)})

    def metrics(self, values: Mapping[str, float], step: int = 0, experiment: str | None = None) -> None:
        """Figures at a step; those that are not finite are left out by JSON's own rule (null)."""
        self._send({"metrics": dict(values), "step": step, **_of(experiment)})

    def close(self) -> str:
        """End the run. -> `ok`, `off`, or why nothing, or not all, was tracked."""
        process, self._process = self._process, None
        if process is not None:
            try:
                if process.stdin is not None:
                    process.stdin.close()
                code = process.wait(self._patience_s)
                self._word = "ok" if code == 0 else self._last_line() or f"ended with {code}"
            except subprocess.TimeoutExpired:
                self._word = f"did not answer within {self._patience_s:g} s and was left"
            except OSError:
                self._word = self._last_line() or "went away"
            finally:
                process.kill()
                process.wait()
                self._said.close()
        return self._word

    def _start(self, settings: TrackingSettings, command: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said, bufsize=0
            )
        except OSError as error:
            self._word = f"could not be started ({error.strerror})"
            self._said.close()
            return
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
        self._send({"uri": settings.uri, "experiment": settings.experiment})

    def _send(self, event: Mapping[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            return
        line = orjson.dumps(event) + b"\n"
        try:
            whole = self._process.stdin.write(line) == len(line)
        except OSError:
            whole = False
        if not whole:  # its pipe is full or gone: it is left to end, and nothing more is sent
            word = self.close()
            self._word = word if word != "ok" else "stopped listening"

    def _last_line(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


def _of(experiment: str | None) -> dict[str, str]:
    return {} if experiment is None else {"experiment": experiment}


def serve(lines: Sequence[bytes] | Any) -> None:
    """Write events to MLflow: the process that `Tracker` starts. Whatever fails ends it, and its last line says why."""
    import mlflow  # noqa: PLC0415 - an extra, and 3 s

    stream = iter(lines)
    first = orjson.loads(next(stream))
    if str(first["uri"]).startswith("sqlite:///"):
        Path(str(first["uri"]).removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(first["uri"])
    current, runs = first["experiment"], dict[str, str]()
    mlflow.set_experiment(current)
    with ExitStack() as stack:
        run = stack.enter_context(mlflow.start_run())
        for line in stream:
            event = orjson.loads(line)
            if event.get("experiment", current) != current:
                runs[current], current = run.info.run_id, event["experiment"]
                stack.close()
                mlflow.set_experiment(current)
                run = stack.enter_context(mlflow.start_run(run_id=runs.get(current)))
            if "params" in event:
                mlflow.log_params(event["params"])
            else:
                known = {name: value for name, value in event["metrics"].items() if value is not None}
                mlflow.log_metrics(known, step=event["step"])


if __name__ == "__main__":
    serve(sys.stdin.buffer)
