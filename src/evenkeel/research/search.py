"""Which parameters do best? A space and a judge in, every trial in order out.

Optuna's TPE sampler is asked for `batch` trials at a time and told their results in trial order, so that the outcome
depends on the seed and the batch, never on how many processes worked, in what order they ended, or where. Trials run
through joblib: on this machine by default, on a Ray cluster when asked; the code is the same.
"""

from __future__ import annotations

import math
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from evenkeel.errors import DataError, NotReadyError

Params = Mapping[str, float]
BACKENDS = ("local", "ray")
KNOCK_S = 5.0
EXTRA = "python -m pip install 'evenkeel[train]'"


class Judged(Protocol):
    """What a judge returns: at least a score, larger is better; NaN = failed."""

    @property
    def score(self) -> float:
        """Larger is better."""


T = TypeVar("T", bound=Judged)


@dataclass(frozen=True, slots=True)
class Range:
    """One parameter: from low to high, whole numbers or not, on a logarithmic scale or not."""

    name: str
    low: float
    high: float
    whole: bool = False
    log: bool = False


@dataclass(frozen=True, slots=True)
class Trial(Generic[T]):
    """One trial: its parameters, what the judge returned, which process worked and its peak memory in bytes."""

    number: int
    params: Params
    result: T
    process: int
    peak_rss: int


@dataclass(frozen=True, slots=True)
class Backend:
    """Where trials run: `local` processes, or `ray` at an address (None starts one here). jobs  at once, >= 1."""

    name: str = "local"
    jobs: int = 2
    address: str | None = None

    def __post_init__(self) -> None:
        if self.name not in BACKENDS or self.jobs < 1:
            raise DataError(
                f"backend {self.name} with {self.jobs} jobs: take {' or '.join(BACKENDS)}, and 1 job or more"
            )


def search(
    space: Sequence[Range],
    judge: Callable[[Params], T],
    *,
    trials: int,
    batch: int,
    seed: int,
    first: Params,
    backend: Backend,
    on_trial: Callable[[Trial[T]], None] = lambda _: None,
) -> list[Trial[T]]:
    """Run `trials` trials in rounds of `batch`; the first one tries `first`.

    judge  picklable, pure. Raises NotReadyError where Optuna, or Ray, is wanted and absent.
    """
    if trials < 1 or batch < 1:
        raise DataError(f"{trials} trials in rounds of {batch}: give 1 or more of each")
    study = _study(seed)
    study.enqueue_trial(dict(first))
    done: list[Trial[T]] = []
    with pool(backend) as run:
        while len(done) < trials:
            asked = [study.ask() for _ in range(min(batch, trials - len(done)))]
            drawn = [_draw(trial, space) for trial in asked]
            for trial, params, (result, process, rss) in zip(asked, drawn, run(judge, drawn), strict=True):
                done.append(Trial(len(done), params, result, process, rss))
                on_trial(done[-1])
                failed = not math.isfinite(result.score)
                study.tell(trial, *((None, _failed_state()) if failed else (result.score,)))
    return done


def best(trials: Sequence[Trial[T]]) -> Trial[T]:
    """The trial of the highest score, the earliest of equals. Raises NotReadyError if none succeeded."""
    good = [trial for trial in trials if math.isfinite(trial.result.score)]
    if not good:
        raise NotReadyError("no trial could be judged: too few assets or decisions in the tests; load more history")
    return max(good, key=lambda trial: (trial.result.score, -trial.number))


def peak_rss(trials: Sequence[Trial[T]]) -> int:
    """Bytes: this process at its peak, and each process that worked for it at its own."""
    workers: dict[int, int] = {}
    for trial in trials:
        if trial.process != os.getpid():
            workers[trial.process] = max(workers.get(trial.process, 0), trial.peak_rss)
    return own_peak_rss() + sum(workers.values())


def own_peak_rss() -> int:
    """Peak resident memory of this process, bytes.

    From /proc where there is one: elsewhere `getrusage` must do, which on Linux would tell a worker its parent's peak.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


Work = tuple[Any, int, int]
Runner = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Work]]
"""A pure, picklable function and what it is given, piece by piece -> its results in the same order, each with the
process that worked and its peak memory in bytes."""


@contextmanager
def pool(backend: Backend) -> Iterator[Runner]:
    """Processes that work, for as long as the context lasts. Raises NotReadyError where a library is absent."""
    try:
        import joblib  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NotReadyError(f"joblib is not installed: {EXTRA}") from error
    if backend.name == "ray":
        _start_ray(backend.address)
        context: Any = joblib.parallel_config("ray", n_jobs=backend.jobs)
    else:
        context = joblib.parallel_config("loky", n_jobs=backend.jobs)
    ordered = "list" if backend.name == "ray" else "generator"
    with context, joblib.Parallel(return_as=ordered) as parallel:

        def run(judge: Callable[[Any], Any], given: Sequence[Any]) -> Iterator[Work]:
            return iter(parallel(joblib.delayed(_work)(judge, one) for one in given))

        yield run


def _work(judge: Callable[[Any], Any], given: Any) -> Work:
    return judge(given), os.getpid(), own_peak_rss()


def _start_ray(address: str | None) -> None:
    try:
        import ray  # noqa: PLC0415 - an extra
        from ray.util.joblib import register_ray  # noqa: PLC0415
    except ImportError as error:
        raise NotReadyError("Ray is not installed: python -m pip install 'evenkeel[ray]'") from error
    if not ray.is_initialized():
        _join(ray, address)
    register_ray()


def _join(ray: Any, address: str | None) -> None:
    try:
        if address is not None:
            _knock(address)
        ray.init(address=address, include_dashboard=False if address is None else None, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        what = str(error).strip().splitlines() or [type(error).__name__]
        raise NotReadyError(
            f"Ray at {address or 'this machine'} cannot be had ({what[0]}): give the address of a cluster"
        ) from error


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at host:port: Ray itself would go on trying for longer than anybody waits."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), KNOCK_S).close()


def _study(seed: int) -> Any:
    try:
        import optuna  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NotReadyError(f"Optuna is not installed: {EXTRA}") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8))


def _failed_state() -> Any:
    from optuna.trial import TrialState  # noqa: PLC0415 - an extra

    return TrialState.FAIL


def _draw(trial: Any, space: Sequence[Range]) -> Params:
    drawn: dict[str, float] = {}
    for one in space:
        if one.whole:
            drawn[one.name] = int(trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log))
        else:
            drawn[one.name] = float(trial.suggest_float(one.name, one.low, one.high, log=one.log))
    return drawn
