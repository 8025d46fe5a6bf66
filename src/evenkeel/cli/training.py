"""`train alpha` and `evaluate alpha`: candles in, a bundle out; a bundle and candles in, what it is worth out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from evenkeel import artifacts
from evenkeel.cli import bundles, candles, edge_evaluation, kalshi_training, policy_evaluation, policy_training
from evenkeel.cli.candles import Candles, Data, Holdout
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, aligned, emit, errors, say
from evenkeel.cli.progress import staged
from evenkeel.errors import UsageError
from evenkeel.units import HOUR_S, duration, iso

if TYPE_CHECKING:
    from evenkeel.research.train_alpha import Progress, Trained

KIND = "alpha"
MB = 1_000_000
Version = Annotated[str | None, typer.Option("--version", help="Name of the bundle under models/alpha.")]

training = typer.Typer(no_args_is_help=True, help="Fit a model on candles.")
evaluation = typer.Typer(no_args_is_help=True, help="Judge a model on candles that it was not trained on.")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(training, name="train")
    app.add_typer(evaluation, name="evaluate")


@training.callback()
@evaluation.callback()
def _kinds() -> None:
    """Keep a group of what has one command today."""


@training.command(name=KIND)
def train(
    context: typer.Context,
    data: Annotated[
        list[Path],
        typer.Option("--data", help="File of candles to learn from; further ones, of another bar, are only judged on."),
    ],
    label: Annotated[
        Literal["rank_vol", "rank", "demeaned", "raw"],
        typer.Option(help="What is fitted: ranks of volatility-scaled, ranks, demeaned or raw returns."),
    ] = "rank",
    folds: Annotated[int, typer.Option(min=1, max=50, help="Walk-forward tests.")] = 6,
    trials: Annotated[int, typer.Option(min=1, max=10_000, help="Trials of the search, for each horizon.")] = 20,
    batch: Annotated[int, typer.Option(min=1, max=256, help="Trials asked for at once; changes the outcome.")] = 4,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Every random number derives from it.")] = 7,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Trials at once, up to --batch; changes no outcome. Default: the cores.")
    ] = None,
    backend: Annotated[Literal["local", "ray"], typer.Option(help="Where trials run.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster; left out, one is started here.")] = None,
    tracking: Annotated[
        str | None, typer.Option("--tracking", help="MLflow tracking URI; default: data/mlflow.db of the home.")
    ] = None,
    no_tracking: Annotated[bool, typer.Option("--no-tracking", help="Track nothing.")] = False,
    version: Version = None,
    expires_days: Annotated[int, typer.Option(min=1, max=3_650, help="Days until the model expires.")] = 180,
    until: Annotated[str | None, typer.Option(help="UTC date; later bars are not looked at.")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Fit the alpha model: a search over walk-forward folds, then one LightGBM for each horizon, as a new bundle.

    Bars after 2025-07-01 are held out: they are never read here.
    """
    from evenkeel.research.fitting import TrainSettings
    from evenkeel.research.search import Backend
    from evenkeel.research.tracking import Tracker, TrackingSettings, local_store
    from evenkeel.research.train_alpha import train as fit

    made: Context = context.obj
    if address is not None and backend != "ray":
        raise UsageError(f"--address {address} belongs to --backend ray: give both, or neither")
    if tracking is not None and no_tracking:
        raise UsageError("--tracking and --no-tracking exclude each other: give one")
    last = candles.moment("--until", until)
    name = _new_version(made.home, version)
    _, pairs = candles.configured(made, config, overrides)
    read = [candles.read(path, pairs, until=last) for path in data]
    for one in read:
        errors().print(one.sentence(), soft_wrap=True)
    tracked = None if no_tracking else TrackingSettings(tracking or local_store(made.home))
    with staged(lambda at: at.stage, _standing) as told:
        done = fit(
            read[0].panel, made.home / "models", name,
            TrainSettings(
                label=label, folds=folds, trials=trials, batch=batch, seed=seed, expires_after_days=expires_days
            ),
            created=int(time.time()), backend=Backend(backend, jobs or min(batch, os.cpu_count() or 1), address),
            also=[one.panel for one in read[1:]], on_progress=told, tracker=Tracker(tracked),
        )  # fmt: skip
    if done.tracked not in {"ok", "off"}:
        errors().print(f"warning: tracking: {done.tracked}; the model is the same without", soft_wrap=True)
    for note in _unused(read, done.bundle.manifest["bars"]):
        errors().print(f"warning: {note}", soft_wrap=True)
    document = _of_training(done, read)
    if as_json:
        emit(document)
    else:
        _show_training(document)


@evaluation.command(name=KIND)
def evaluate(
    context: typer.Context,
    data: Data,
    version: Version = None,
    holdout: Holdout = False,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Judge the alpha in use, or --version, on candles after its training, as it is served."""
    from evenkeel.research.evaluate import evaluate as judge
    from evenkeel.signals import alpha

    made: Context = context.obj
    path = bundles.find(made.home, KIND, version)
    _, pairs = candles.configured(made, config, overrides)
    artifacts.read(path, KIND)  # a damaged bundle is no reason to look at held-out bars
    read = candles.read(data, pairs, leave=(made, f"evaluate {KIND} {path.name}") if holdout else None)
    model = alpha.load(path, read.panel.bar_s)
    needed = model.valid_from(read.panel.bar_s) + model.longest_h * HOUR_S
    candles.refuse_held_out(read, needed, f"{model.version} was trained until {iso(model.train_end)}")
    found = judge(model, read.panel)
    document = {
        "command": f"evaluate {KIND}", "version": model.version, "digest": model.digest, "path": path,
        "trained_until": iso(model.train_end), "horizon_h": model.longest_h, "data": read.to_json(),
        "from": iso(int(found.time[0])), "to": iso(int(found.time[-1])), "evidence": found.evidence.to_json(),
    }  # fmt: skip
    if as_json:
        emit(document)
        return
    say(f"{KIND} {model.version} {model.digest[:12]}, trained until {document['trained_until']}")
    say(read.sentence())
    say(f"judged from {document['from']} to {document['to']}")
    _table([(f"{model.longest_h} h", found.evidence.to_json())])


training.command(name=policy_training.KIND)(policy_training.train)
evaluation.command(name=policy_training.KIND)(policy_evaluation.evaluate)
evaluation.command(name=edge_evaluation.KIND)(edge_evaluation.evaluate)
training.command(name=kalshi_training.KIND)(kalshi_training.train)
evaluation.command(name=kalshi_training.KIND)(kalshi_training.evaluate)


def _new_version(home: Path, wanted: str | None) -> str:
    """A name that no bundle has, in the home or shipped. Raises ArtifactError for one that is taken."""
    shelves = bundles.shelves(home)
    if wanted is None:
        return artifacts.next_version(shelves, KIND)
    for shelf in shelves:
        artifacts.free(shelf, KIND, wanted)
    return wanted


def _unused(read: Sequence[Candles], bars: Sequence[int]) -> Iterator[str]:
    """Files that gave no evidence, and why: a person who named them expects the model to be served on their bars."""
    seen = {read[0].panel.bar_s}
    for one in read[1:]:
        bar = one.panel.bar_s
        if bar in seen:
            yield f"{one.path.name} was not used: {duration(bar)} bars are judged on an earlier file"
        elif bar not in bars:
            yield f"{one.path.name} has too few decisions in the folds' tests: no evidence on {duration(bar)} bars"
        seen.add(bar)


def _of_training(done: Trained, read: Sequence[Candles]) -> dict[str, Any]:
    bundle = done.bundle
    said = bundle.manifest
    return {
        "command": f"train {KIND}", "version": bundle.version, "path": bundle.path, "digest": bundle.digest,
        "files": said["files"], "data": [one.to_json() for one in read], "label": said["label"],
        "bars": [duration(bar) for bar in said["bars"]], "universe": said["universe"],
        "train": {**said["train"], **{name: iso(said["train"][name]) for name in ("from", "until", "data_until")}},
        "expires": iso(said["expires"]), "folds": [_fold(fold) for fold in said["folds"]],
        "evidence": {duration(int(bar)): found for bar, found in said["evidence"].items()},
        "trials": said["search"]["trials"], "search": said["search"], "seconds": round(done.seconds, 1),
        "peak_rss_mb": round(done.peak_rss / MB), "tracking": done.tracked,
    }  # fmt: skip


def _fold(fold: Mapping[str, Any]) -> dict[str, Any]:
    spans = {name: [iso(moment) for moment in fold[name]] for name in ("train", "test")}
    return {**spans, "horizons": fold["horizons"]}


def _show_training(document: Mapping[str, Any]) -> None:
    trained = document["train"]
    say(f"{KIND} {document['version']} {document['digest'][:12]} in {document['path']}")
    say(f"trained on {trained['bar']} bars of {len(document['universe'])} assets, {trained['from']} .. "
        f"{trained['until']}; expires {document['expires']}")  # fmt: skip
    for one in document["data"]:
        if one["held_out"]:
            say(f"held out: the last {one['held_out']} bars of {one['file']}, after {one['to']}")
    say(f"{document['trials']} trials in {document['seconds']:.0f} s, peak memory {document['peak_rss_mb']} MB, "
        f"tracking {document['tracking']}")  # fmt: skip
    rows = [
        (f"{fold['test'][0][:10]} {horizon} h", found)
        for fold in document["folds"]
        for horizon, found in sorted(fold["horizons"].items(), key=lambda item: int(item[0]))
    ]
    rows += [(f"all, served on {bar}", found) for bar, found in document["evidence"].items()]
    _table(rows)
    say(f"It decides nothing yet: `evenkeel models promote {KIND} {document['version']}`")


COLUMNS = ("decisions", "ic", "ic_t", "icir", "rank_ic", "rank_ic_t", "rank_ic_neutral", "rank_ic_neutral_t")


def _table(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Evidence, one line each; `-` where a figure is not known."""
    cells = [[name, *(_figure(found[column]) for column in COLUMNS)] for name, found in rows]
    for line in aligned(("out of sample", *COLUMNS), cells, right=range(1, len(COLUMNS) + 1)):
        say(line)


def _figure(value: float | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:+.4f}"


def _standing(at: Progress) -> str:
    best = "" if at.ic != at.ic else f", best IC {at.ic:+.4f}"
    return f"{at.folds} folds{best}, about {at.eta_s:.0f} s left, {at.rss / MB:.0f} MB"
