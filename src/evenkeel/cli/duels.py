"""Champion against challenger: both judged, and both traded, over bars that neither was trained on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evenkeel import artifacts, metrics
from evenkeel.artifacts import Bundle
from evenkeel.cli import bundles, candles
from evenkeel.cli.output import Context
from evenkeel.cli.period import held
from evenkeel.cli.policy_training import world_of
from evenkeel.cli.progress import progress
from evenkeel.errors import ArtifactError, UsageError
from evenkeel.research.promote import Duel, Verdict
from evenkeel.units import DAY_S, HOUR_S, duration, iso

if TYPE_CHECKING:
    from evenkeel.config import Loaded
    from evenkeel.research.contest import Contestant
    from evenkeel.types import Array, IntArray, Pair, Panel, Slot


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for: who is to be promoted, by which candles, with which leave."""

    kind: str
    version: str
    data: Path | None
    holdout: bool
    force: bool
    config: Path | None
    overrides: list[str] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish to promote.

    champion  version that was in use before, "" = none · in_use  the challenger was in use already
    duel      None where none was fought · note  what a person should know besides, "" = nothing
    """

    kind: str
    version: str
    champion: str
    promoted: bool
    in_use: bool
    forced: bool
    sentence: str
    duel: Duel | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Fields by name; figures that are not known are null, times ISO text."""
        document = asdict(self)
        if self.duel is not None:
            figures = {
                name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in asdict(self.duel).items()
            }
            document["duel"] = figures | {"since": iso(self.duel.since), "until": iso(self.duel.until)}
        return document


def decide(made: Context, wish: Wish) -> Outcome:
    """Promote a version if it may be.

    Raises ArtifactError for a challenger that is refused, UsageError where candles are wanted, or where --force would
    put an untried model in the place of one that works.
    """
    from evenkeel.research import promotions
    from evenkeel.research.contest import KINDS

    kind, shelves = wish.kind, bundles.shelves(made.home)
    path = artifacts.locate(kind, wish.version, *shelves)
    challenger = believed(kind, path)
    settings = [*KINDS[kind].settings, *(wish.overrides or [])]
    loaded, pairs = candles.configured(made, wish.config, settings)
    champion, refused = _champion(kind, *shelves)
    before, found = champion.version if champion else "", None
    if champion and champion.path.resolve() == path.resolve():
        return Outcome(kind, wish.version, before, promoted=False, in_use=True, forced=False,
                       sentence=f"{kind} {wish.version} is in use already")  # fmt: skip
    forced = wish.force and bool(champion or refused)
    if forced:
        known = promotions.were_in_use(shelves[0], kind)
        word = _forced(challenger, champion, refused, tried=challenger.digest in known)
    elif refused:
        raise UsageError(f"the model in use is refused ({refused}): restore it, or pass it over with --force")
    elif champion is None:
        word = Verdict(promoted=True, sentence="no model is in use: the challenger takes the empty place")
    else:
        found, word = _duel(made, wish, loaded, pairs, (champion, challenger))
    if word.promoted:
        artifacts.promote(kind, wish.version, *shelves)
        entry = promotions.Promotion(kind, wish.version, challenger.digest, before,
                                     champion.digest if champion else "", forced, word.sentence)  # fmt: skip
        promotions.append(shelves[0], int(time.time()), entry)
    return Outcome(kind, wish.version, before, promoted=word.promoted, in_use=False, forced=forced,
                   sentence=word.sentence, duel=found, note=_silent(challenger, loaded.config.feed.bar))  # fmt: skip


def believed(kind: str, path: Path) -> Bundle:
    """A bundle that a run would load: its digests, features and golden output hold. Raises ArtifactError."""
    from evenkeel.research.contest import KINDS

    bundle = artifacts.read(path, kind)
    bars = [int(bar) for bar in bundle.manifest.get("bars", ())]
    KINDS[kind].load(path, bars[0] if bars else HOUR_S)
    return bundle


def _champion(kind: str, home: Path, shipped: Path) -> tuple[Bundle | None, str]:
    """The bundle in use, and why it is refused if it is."""
    try:
        path = artifacts.chosen(kind, home, shipped)
        return (None if path is None else believed(kind, path)), ""
    except ArtifactError as error:
        return None, str(error)


def _forced(challenger: Bundle, champion: Bundle | None, refused: str, *, tried: bool) -> Verdict:
    """Where there is nothing to protect a duel may be skipped. Raises UsageError elsewhere."""
    if refused:
        return Verdict(promoted=True, sentence=f"forced, without a duel: the model in use is refused ({refused})")
    if not tried:
        before = champion.version if champion else ""
        raise UsageError(
            f"--force does not put {challenger.version}, which was never in use, in the place of {before}, which "
            "works: leave it out and give --data FILE, or go back to a version that was in use"
        )
    return Verdict(promoted=True, sentence=f"forced, without a duel: back to {challenger.version}, which was in use")


def _silent(challenger: Bundle, bar_s: int) -> str:
    """A word of warning where the configured bars are not those that it was judged on."""
    if bar_s in challenger.manifest.get("bars", ()):
        return ""
    return f"it has no evidence on {duration(bar_s)} bars (feed.bar) and will say nothing there"


def _duel(
    made: Context, wish: Wish, loaded: Loaded, pairs: Sequence[Pair], sides: tuple[Bundle, Bundle]
) -> tuple[Duel, Verdict]:
    """Champion and challenger on the bars after both trainings, if there are enough."""
    from evenkeel.market import features
    from evenkeel.research import promote
    from evenkeel.research.contest import KINDS

    old, new = (bundle.version for bundle in sides)
    if wish.data is None:
        raise UsageError(
            f"{old} is in use, {new} has to be better on bars after both trainings: give --data FILE with "
            f"{promote.MIN_DAYS:.0f} days of them"
        )
    leave = (made, f"duel of {wish.kind} {old} and {new}") if wish.holdout else None
    read = candles.read(wish.data, pairs, leave=leave)
    panel = held(read.panel, [pair.asset for pair in pairs])
    traded = tuple(pair for pair in pairs if pair.asset in panel.assets)
    room, world = KINDS[wish.kind], world_of(loaded, traded, int(panel.time[-1]))
    champion, challenger = (room.enter(room.load(one.path, panel.bar_s), panel, world) for one in sides)
    warm = int(panel.time[0]) + features.warmup_bars(panel.bar_s) * panel.bar_s
    since = max(warm, promote.judged_from(champion.begins, challenger.begins))
    until = int(panel.time[-1]) - max(champion.horizon_h, challenger.horizon_h) * HOUR_S
    if (until - since) / DAY_S < promote.MIN_DAYS:
        short = Duel(since, until, 0, math.nan, math.nan, math.nan, math.nan)
        return short, _with_hint(promote.verdict(short), read.held_out)
    found = _fought(champion, challenger, panel, traded, loaded, since)
    return found, promote.verdict(found)


def _fought(
    champion: Contestant, challenger: Contestant, panel: Panel, pairs: Sequence[Pair], loaded: Loaded, since: int
) -> Duel:
    """Both judged, both traded."""
    from evenkeel.research import evidence, promote

    (decided, old), (_, new) = (one.judge(since) for one in (champion, challenger))
    before, after = (_traded(one, panel, pairs, loaded, since) for one in (champion, challenger))
    _, old_net, new_net = metrics.paired(before, after)
    lags = evidence.lags_of(champion.horizon_h, int(decided[1] - decided[0]))
    return promote.duel(int(decided[0]), int(decided[-1]), old, new, lags, old_net, new_net)


def _with_hint(word: Verdict, held_out: int) -> Verdict:
    """A verdict over too few days, and what would give more."""
    hint = f"; {held_out} later bars are held out, --holdout reads them and writes it down" if held_out else ""
    return Verdict(promoted=word.promoted, sentence=word.sentence + hint)


def _traded(
    side: Contestant, panel: Panel, pairs: Sequence[Pair], loaded: Loaded, since: int
) -> tuple[IntArray, Array]:
    """Times (UTC s) and equity (USD) of a back-test from `since` on in which the model decides.

    Both sides of a duel differ in nothing else, so that the difference of their returns is that of their active
    returns, whatever the benchmark.
    """
    import numpy as np

    from evenkeel import wiring
    from evenkeel.engine import slots
    from evenkeel.engine.replay import Replay
    from evenkeel.research.backtest import backtest
    from evenkeel.signals.compute import compute
    from evenkeel.types import Identity, Memory

    config = loaded.config
    row = int(np.searchsorted(panel.time, since, side="right")) - 1
    feed = Replay(compute(panel, side.brain, wiring.signal_settings(config), row))
    broker = wiring.paper(config, feed, pairs, None)
    memory = Memory(Identity("paper", "paper", "virtual", ""), int(panel.time[0]) - panel.bar_s, loaded.digest)
    todo = list(slots.between(since, int(panel.time[-1]), wiring.cadence(config)))
    with progress(len(todo), f"{side.version} trades", quiet=False) as advance:
        rules = wiring.rules_of(config, tuple(pairs))
        result = backtest(_told(todo, advance), feed, broker, memory, side.brain, rules)
    time_s, equity = zip(*result.equity, strict=True)
    return np.array(time_s, dtype=np.int64), np.array(equity, dtype=np.float64)


def _told(todo: Sequence[Slot], advance: Callable[[int], None]) -> Iterator[Slot]:
    for slot in todo:
        yield slot
        advance(1)
