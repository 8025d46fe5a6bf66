"""How far a long command is: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from evenkeel.cli.output import errors


@contextmanager
def progress(total: int, title: str, *, quiet: bool, unit: str = "slots") -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr; plain lines every tenth where that is no terminal; nothing when quiet."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = errors()
    if quiet:
        yield lambda _: None
        return
    if not console.is_terminal:
        yield _plain(total, title, unit)
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
        TimeRemainingColumn(), console=console,
    )  # fmt: skip
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


def _plain(total: int, title: str, unit: str) -> Callable[[int], None]:
    console, began, done = errors(), time.monotonic(), [0, 0]

    def advance(count: int) -> None:
        done[0] += count
        if done[0] * 10 // max(total, 1) > done[1]:
            done[1] = done[0] * 10 // max(total, 1)
            left = (time.monotonic() - began) * (total - done[0]) / max(done[0], 1)
            console.print(f"{title}: {done[0]}/{total} {unit}, {done[1] * 10} %, about {left:.0f} s left")

    return advance


class Staged(Protocol):
    """Where a training stands: steps done of all."""

    @property
    def done(self) -> int:
        """Steps that are over."""

    @property
    def total(self) -> int:
        """All steps that are known of."""


At = TypeVar("At", bound=Staged)


@contextmanager
def staged(name: Callable[[At], str], said: Callable[[At], str], unit: str = "") -> Iterator[Callable[[At], None]]:
    """A training's stages on stderr: a bar on a terminal, a line for each step elsewhere.

    name  of the stage that is worked on · said  how it stands
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = errors()
    if not console.is_terminal:
        yield lambda at: console.print(f"{name(at)} {at.done}/{at.total}{unit}, {said(at)}", soft_wrap=True)
        return
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console) as bar:
        task = bar.add_task("reading")
        yield lambda at: bar.update(task, completed=at.done, total=at.total, description=f"{name(at)}, {said(at)}")
