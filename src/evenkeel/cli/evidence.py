"""`honesty` and `parity`: whether the numbers deserve belief, and whether a run did what its back-test does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from evenkeel.cli import candles
from evenkeel.cli.candles import Holdout
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, aligned, emit, errors, say
from evenkeel.cli.progress import progress
from evenkeel.errors import ArtifactError, EvidenceError, NotReadyError, UsageError
from evenkeel.units import DAY_S, duration, iso

if TYPE_CHECKING:
    from evenkeel.config import Config, Loaded
    from evenkeel.engine.replay import Replay
    from evenkeel.research.causality import Subject
    from evenkeel.research.checks import Check
    from evenkeel.research.parity import Parity, Parts
    from evenkeel.types import Pair, Panel

EMBEDDED_DAYS = 150
"""How much of the embedded market is looked at."""


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(honesty)
    app.command()(parity)


# ---------------------------------------------------------------- honesty


def honesty(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option("--data", help="File of candles; without, the feed of --config (embedded market).")
    ] = None,
    times: Annotated[int, typer.Option(min=10, max=100_000, help="Random times at which all is computed again.")] = 200,
    seeds: Annotated[int, typer.Option(min=1, max=1_000, help="Refits on permuted labels.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Everything drawn derives from it.")] = 7,
    plant: Annotated[
        Literal["leak"] | None, typer.Option(help="Smuggle in a feature that leads by one bar: it must fail.")
    ] = None,
    holdout: Holdout = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check that no feature, model or decision knows what comes later; exit 4 if one does."""
    from evenkeel.research import honesty as research

    made, began = context.obj, time.monotonic()
    loaded, pairs = candles.configured(made, config or Path("config/demo.yaml"), overrides)
    panel, source = _bars(made, loaded, pairs, data, holdout=holdout)
    subject = _subject(made, loaded, pairs, panel)
    errors().print(f"{source}: {len(panel.time)} bars of {duration(panel.bar_s)}, {len(panel.assets)} assets, "
                   f"{iso(int(panel.time[0]))} .. {iso(int(panel.time[-1]))}", soft_wrap=True)  # fmt: skip
    amount = research.Amount(times, seeds, seed)
    with progress(research.work(amount), "honesty", quiet=as_json, unit="recomputed") as advance:
        found = list(research.examine(subject, amount, plant=plant is not None, advance=advance))
    document = {
        "command": "honesty", "ok": not any(check.failed for check in found), "planted": plant,
        "data": {"source": source, "bar": duration(panel.bar_s), "assets": len(panel.assets), "bars": len(panel.time),
                 "from": iso(int(panel.time[0])), "to": iso(int(panel.time[-1]))},
        "checks": [check.to_json() for check in found], "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    if as_json:
        emit(document)
    else:
        _show_honesty(document)
    _refuse(found)


def _bars(
    made: Context, loaded: Loaded, pairs: Sequence[Pair], data: Path | None, *, holdout: bool
) -> tuple[Panel, str]:
    """Bars of the universe's pairs, and where they come from. Raises NotReadyError or DataError for none."""
    from evenkeel.market import panel as panels

    if data is None:
        return _configured(made, loaded.config, pairs, holdout=holdout)
    read = candles.read(data, pairs, leave=(made, "honesty") if holdout else None)
    held = [pair.asset for pair in pairs if pair.asset in read.panel.assets]
    if not held:
        raise NotReadyError(f"{data} has no candle of the universe: give one that has, or another universe.file")
    return panels.pick(read.panel, held), data.name


def _configured(made: Context, config: Config, pairs: Sequence[Pair], *, holdout: bool) -> tuple[Panel, str]:
    from evenkeel import archive
    from evenkeel.market import synthetic
    from evenkeel.research import folds

    if config.feed.kind == "synthetic":
        first = config.synthetic.epoch // DAY_S * DAY_S
        return synthetic.market(
            pairs, first, first + EMBEDDED_DAYS * DAY_S, config.feed.bar, config.synthetic
        ), "embedded market"
    source = config.feed.source if config.feed.kind == "archive" else config.feed.exchange
    panel, _ = archive.load(made.home, source, config.feed.bar, pairs)
    if holdout:
        log = made.home / "models" / "holdout.log"
        return folds.visible(panel, use=folds.HoldoutUse(log, int(time.time()), f"honesty on {source}")), source
    if int(panel.time[0]) > folds.HOLDOUT_FROM:
        raise UsageError(
            f"{source} begins at {iso(int(panel.time[0]))}, and bars after {iso(folds.HOLDOUT_FROM)} are held out: "
            "give --holdout, which writes their use to models/holdout.log, or --data with earlier candles"
        )
    return folds.visible(panel), source


def _subject(made: Context, loaded: Loaded, pairs: Sequence[Pair], panel: Panel) -> Subject:
    from evenkeel import wiring
    from evenkeel.research.causality import Subject

    if wiring.BENCHMARK not in panel.assets:
        raise NotReadyError(f"{wiring.BENCHMARK} has no candle here, and every signal needs it: load it too")
    config = replace(loaded.config, feed=replace(loaded.config.feed, bar=panel.bar_s))
    by_asset = {pair.asset: pair for pair in pairs}
    return Subject(
        panel=panel,
        brain=wiring.brain_of(config, made.home),
        rules=wiring.rules_of(config, tuple(by_asset[asset] for asset in panel.assets)),
        settings=wiring.signal_settings(config),
        cadence=wiring.cadence(config),
        capital=config.venue.capital,
    )


def _show_honesty(document: Mapping[str, Any]) -> None:
    rows = [
        (one["name"], one["verdict"], _figure(one["figure"]), _figure(one["limit"]), one["text"])
        for one in document["checks"]
    ]
    for line in aligned(("check", "verdict", "figure", "limit", "what"), rows, right=(2, 3)):
        say(line)
    say(f"{'no leak was found' if document['ok'] else 'FAILED'}, {document['seconds']:.0f} s")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _refuse(found: Sequence[Check]) -> None:
    """Raise EvidenceError that names every check that failed."""
    failed = [check for check in found if check.failed]
    if failed:
        told = "; ".join(f"{check.name}: {_figure(check.to_json()['figure'])} {check.text}" for check in failed)
        raise EvidenceError(f"honesty failed in {len(failed)} of {len(found)} checks: {told}")


# ---------------------------------------------------------------- parity


def parity(
    context: typer.Context,
    from_journal: Annotated[
        bool, typer.Option("--from-journal", help="Compare with what the home's journal has recorded.")
    ] = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Decide a recorded run again, slot by slot, by the back-test's code; exit 4 at the first stage that differs."""
    from evenkeel.research import parity as research

    made: Context = context.obj
    if not from_journal:
        raise UsageError("parity needs something to compare with: give --from-journal")
    journal = made.home / "state" / "journal.db"
    digest = research.recorded_digest(journal)
    loaded = _recorded_config(made, config, overrides or [], digest)
    parts = _parts(made, loaded)
    with progress(research.count(journal), "parity", quiet=as_json) as advance:
        found = research.compare(journal, parts, advance)
    document = _of_parity(found, loaded, made)
    if as_json:
        emit(document)
    else:
        _show_parity(document)
    if found.difference is not None:
        raise EvidenceError(f"parity ends at {found.difference.sentence()}")


def _recorded_config(made: Context, config: Path | None, overrides: list[str], digest: str) -> Loaded:
    """The configuration that the run was recorded with. Raises EvidenceError for any other."""
    from evenkeel.cli import planning

    loaded = planning.resolved(made, config, overrides)
    if loaded.digest != digest:
        raise EvidenceError(
            f"parity ends at config: the run was recorded with {digest[:12]}, this is {loaded.digest[:12]}: give the "
            "--config and --set of that run, or none, so that its own are taken"
        )
    if loaded.config.clock.kind == "real":
        raise NotReadyError(
            "the run was recorded on the real clock: the quotes that it saw are not in the journal, so it cannot be "
            "decided again; record one with a virtual clock (`evenkeel run --config config/replay.yaml`)"
        )
    return loaded


def _parts(made: Context, loaded: Loaded) -> Parts:
    """What the back-test is made of. Raises EvidenceError where a model of the run cannot be had."""
    from evenkeel import wiring
    from evenkeel.research.parity import Parts

    try:
        engine = wiring.build(loaded.config, made.home, loaded.digest, durable=False)
    except ArtifactError as error:
        raise EvidenceError(f"parity ends at models: {error}") from error
    memory, feed = engine.memory(loaded.digest), cast("Replay", engine.feed)  # a virtual clock has no other
    start, _ = wiring.window(loaded.config)
    return Parts(feed, start, engine.brain, engine.rules, engine.cadence, memory, loaded.config.venue.capital)


def _of_parity(found: Parity, loaded: Loaded, made: Context) -> dict[str, Any]:
    first = found.difference
    off = [abs(bps) for bps in found.fill_bps]
    return {
        "command": "parity", "identical": first is None, "home": made.home, "config_digest": loaded.digest,
        "slots": found.slots, "decisions": found.decisions, "orders": found.orders, "left_out": found.left_out,
        "stages": _stages(found),
        "fills": {"compared": len(off), "max_bps": max(off, default=0.0), "mean_bps": sum(off) / max(1, len(off))},
        "difference": first and {"stage": first.stage, "slot": first.slot, "what": first.what,
                                 "recorded": first.recorded, "replayed": first.replayed},
    }  # fmt: skip


def _stages(found: Parity) -> list[dict[str, Any]]:
    """Every stage in the order of a decision: identical, differs, or not reached in the slot that differs."""
    made, verdict = [], "identical"
    for stage, compared in found.values.items():
        differs = found.difference is not None and found.difference.stage == stage
        made.append({"stage": stage, "compared": compared, "verdict": "differs" if differs else verdict})
        verdict = "identical before" if differs else verdict
    return made


def _show_parity(document: Mapping[str, Any]) -> None:
    rows = [(one["stage"], one["compared"], one["verdict"]) for one in document["stages"]]
    for line in aligned(("stage", "values", "verdict"), rows, right=(1,)):
        say(line)
    fills = document["fills"]
    say(f"{document['slots']} slots, {document['decisions']} decisions, {document['orders']} orders; "
        f"{fills['compared']} fills differ by at most {fills['max_bps']:.4f} bps")  # fmt: skip
    if document["left_out"]:
        say(f"{document['left_out']} slots failed or were late, which no back-test repeats")
