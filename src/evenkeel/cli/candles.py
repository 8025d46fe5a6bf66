"""What a research command reads: candle files as panels; held-out bars only when asked for by name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli.output import Context, errors
from evenkeel.errors import DataError, UsageError
from evenkeel.units import duration, iso, utc

if TYPE_CHECKING:
    from evenkeel.config import Loaded
    from evenkeel.types import Pair, Panel

Data = Annotated[Path, typer.Option("--data", help="Tidy .parquet, .csv or .feather file of candles.")]
Holdout = Annotated[
    bool, typer.Option("--holdout", help="Read held-out bars too; the use is written to models/holdout.log.")
]


@dataclass(frozen=True, slots=True)
class Candles:
    """A candle file as a panel.

    panel  what may be seen · held_out  bars left out · used  held-out bars that are in it, by leave
    """

    path: Path
    panel: Panel
    held_out: int
    used: int

    def to_json(self) -> dict[str, Any]:
        """What was read, and what was not."""
        seen = self.panel
        return {
            "file": self.path.name, "bar": duration(seen.bar_s), "assets": len(seen.assets), "bars": len(seen.time),
            "from": iso(int(seen.time[0])), "to": iso(int(seen.time[-1])), "held_out": self.held_out,
            "held_out_used": self.used,
        }  # fmt: skip

    def sentence(self) -> str:
        """The same for people."""
        seen, said = self.to_json(), ""
        if self.held_out:
            said = f"; {self.held_out} later bars are held out and were not read"
        if self.used:
            said = f"; {self.used} of them are held-out bars, and that is written in models/holdout.log"
        size = f"{seen['bars']} bars of {seen['bar']}, {seen['assets']} assets"
        return f"{seen['file']}: {size}, {seen['from']} .. {seen['to']}{said}"


def configured(made: Context, config: Path | None, overrides: list[str] | None) -> tuple[Loaded, tuple[Pair, ...]]:
    """The configuration and its universe, whose symbols and price factors candle files are read by."""
    from evenkeel import config as configs
    from evenkeel import wiring

    loaded = configs.load(config, environ=made.environ, overrides=overrides or [], home=made.home)
    return loaded, wiring.universe(loaded.config, made.home)


def read(
    path: Path, pairs: Sequence[Pair], *, until: int | None = None, leave: tuple[Context, str] | None = None
) -> Candles:
    """A candle file; with `leave` (whose home, what for) also its held-out bars, which is written down and said.

    until  UTC s, later bars are not looked at. Raises DataError where nothing is left.
    """
    from evenkeel.market import panel as panels
    from evenkeel.research import dataset, folds

    panel = dataset.read_panel(path, pairs)
    if until is not None:
        panel = panels.until(panel, until)
    late = int((panel.time > folds.HOLDOUT_FROM).sum())
    if leave is None:
        if late == len(panel.time):
            raise DataError(
                f"{path} begins at {iso(int(panel.time[0]))}, and bars after {iso(folds.HOLDOUT_FROM)} are held out: "
                "give earlier candles"
            )
        return Candles(path, folds.visible(panel), late, 0)
    made, purpose = leave
    use = folds.HoldoutUse(made.home / "models" / "holdout.log", int(time.time()), f"{purpose} on {path.name}")
    if late:
        errors().print(f"{late} held-out bars are read, which is written in {use.log}", soft_wrap=True)
    return Candles(path, folds.visible(panel, use=use), 0, late)


def refuse_held_out(read: Candles, needed: int, trained: str) -> None:
    """Say what to do where only held-out bars could judge a model. Raises UsageError.

    needed  UTC s, the first bar that could · trained  which model, and until when it was
    """
    if read.held_out and int(read.panel.time[-1]) < needed:
        raise UsageError(
            f"{trained}, and the bars that could judge it are held out: give --holdout, which writes their use to "
            "models/holdout.log"
        )


def moment(option: str, text: str | None) -> int | None:
    """UTC s of a date that a person gave. Raises UsageError for text that is none."""
    try:
        return None if text is None else utc(text)
    except ValueError:
        raise UsageError(f"{option} {text}: write a UTC date or time such as 2025-01-01") from None
