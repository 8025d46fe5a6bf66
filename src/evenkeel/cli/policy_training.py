"""`train policy`: candles in, one bundle of PPO actors out, or one for each budget."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from evenkeel import artifacts
from evenkeel.cli import candles, policy_tries
from evenkeel.cli.candles import Candles
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, aligned, emit, errors, percent, say
from evenkeel.cli.progress import staged
from evenkeel.errors import NotReadyError, UsageError
from evenkeel.units import duration, iso

if TYPE_CHECKING:
    from evenkeel.artifacts import Bundle
    from evenkeel.config import Loaded
    from evenkeel.research.courses import PolicySettings
    from evenkeel.research.lessons import World
    from evenkeel.research.train_policy import Progress, Trained
    from evenkeel.types import Pair

KIND = "policy"
MB = 1_000_000


def train(
    context: typer.Context,
    data: Annotated[
        Path, typer.Option("--data", help="Tidy .parquet, .csv or .feather file of candles to learn from.")
    ],
    also: Annotated[
        list[Path] | None,
        typer.Option("--also", help="File of candles of another bar, only judged on; may be given again."),
    ] = None,
    mode: Annotated[
        Literal["continuous", "discrete"],
        typer.Option(help="Actions: a number in [-1, 1] (PPO), or BUY, SELL, HOLD under a mask (MaskablePPO)."),
    ] = "continuous",
    episodes: Annotated[
        int, typer.Option(min=1, max=100_000_000, help="Windows that each actor learns from, at most.")
    ] = 20_000,
    budgets: Annotated[
        str, typer.Option(help="USD, with commas between them; above the least order. One actor learns all of them.")
    ] = "1000,10000,50000,100000",
    per_budget: Annotated[
        bool, typer.Option("--per-budget", help="An actor and a bundle for each budget: <version>-<budget>.")
    ] = False,
    regimes: Annotated[
        Literal["all", "specialists"],
        typer.Option(help="General actors only, or one more for trend, chop and down, kept where it wins."),
    ] = "all",
    specialist_budget: Annotated[
        float, typer.Option(min=0, max=1e9, help="USD; what specialists are taught and judged with.")
    ] = 10_000.0,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Actors of different chance; the median is shipped.")] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The first of the seeds.")] = 1,
    symbols: Annotated[
        str | None, typer.Option(help="Coins that books are opened on, with commas between them. Default: all.")
    ] = None,
    bars: Annotated[int, typer.Option(min=2, max=100_000, help="Bars of a window.")] = 240,
    validation: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the rows, the latest ones, that judge.")
    ] = 0.2,
    patience: Annotated[
        int, typer.Option(min=1, max=100_000, help="Validations in a row without a better one that end a course.")
    ] = 20,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Folder that keeps every course after each of its rounds.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints, to the same result.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Courses at once; changes no outcome. Default: cores, up to the courses."),
    ] = None,
    backend: Annotated[Literal["local", "ray"], typer.Option(help="Where courses run.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster; left out, one is started here.")] = None,
    tracking: Annotated[
        str | None, typer.Option("--tracking", help="MLflow tracking URI; default: data/mlflow.db of the home.")
    ] = None,
    no_tracking: Annotated[bool, typer.Option("--no-tracking", help="Track nothing.")] = False,
    version: Annotated[str | None, typer.Option("--version", help="Name of the bundle under models/policy.")] = None,
    expires_days: Annotated[int, typer.Option(min=1, max=3_650, help="Days until the model expires.")] = 180,
    until: Annotated[str | None, typer.Option(help="UTC date; later bars are not looked at.")] = None,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Teach PPO actors on books that trade by the rebalancer's own kernels, and keep the seed of the median score.

    Bars after 2025-07-01 are held out: they are never read here.
    """
    made: Context = context.obj
    _refuse_contradictions(address, backend, tracking, checkpoint, resume=resume, no_tracking=no_tracking)
    last, money = candles.moment("--until", until), budgets_of(budgets)
    _require_extra()
    from evenkeel.research.courses import PolicySettings
    from evenkeel.research.search import Backend
    from evenkeel.research.tracking import Tracker, TrackingSettings, local_store
    from evenkeel.research.train_policy import first_experiment
    from evenkeel.research.train_policy import train as teach

    settings = PolicySettings(
        mode=mode, episodes=episodes, budgets=money, per_budget=per_budget, regimes=regimes, seeds=seeds, seed=seed,
        symbols=names_of(symbols), bars=bars, validation=validation, patience=patience,
        specialist_budget=specialist_budget, expires_after_days=expires_days,
    )  # fmt: skip
    name = _new_version(made.home, version, settings)
    loaded, pairs = candles.configured(made, config, overrides)
    read = [candles.read(path, pairs, until=last) for path in (data, *(also or []))]
    for one in read:
        errors().print(one.sentence(), soft_wrap=True)
    uri = None if no_tracking else tracking or local_store(made.home)
    tries = policy_tries.planned(loaded.digest, settings, int(read[0].panel.time[-1]))
    with staged(lambda at: at.course, _standing, " rounds") as told:
        done = teach(
            read[0].panel, made.home / "models", name, world_of(loaded, pairs), settings,
            created=int(time.time()), backend=Backend(backend, jobs or _jobs(settings), address),
            also=[one.panel for one in read[1:]], checkpoints=checkpoint, resume=resume,
            on_begin=lambda: policy_tries.begin(made.home, tries), on_progress=told,
            tracker=Tracker(None if uri is None else TrackingSettings(uri, first_experiment(settings))),
        )  # fmt: skip
    policy_tries.end(made.home, tries, name)
    for note in _warnings(done, read):
        errors().print(f"warning: {note}", soft_wrap=True)
    document = _of_training(done, read, settings)
    if as_json:
        emit(document)
    else:
        _show(document)


def _refuse_contradictions(
    address: str | None,
    backend: str,
    tracking: str | None,
    checkpoint: Path | None,
    *,
    resume: bool,
    no_tracking: bool,
) -> None:
    """Options that belong together, or exclude each other. Raises UsageError."""
    if address is not None and backend != "ray":
        raise UsageError(f"--address {address} belongs to --backend ray: give both, or neither")
    if tracking is not None and no_tracking:
        raise UsageError("--tracking and --no-tracking exclude each other: give one")
    if resume and checkpoint is None:
        raise UsageError("--resume goes on from a --checkpoint: name its folder")


def _require_extra() -> None:
    """Raise NotReadyError where a library that training needs is absent."""
    from evenkeel.research.search import EXTRA

    try:
        import evenkeel.research.train_policy  # noqa: F401
    except ImportError as error:
        raise NotReadyError(f"{error.name} is not installed: {EXTRA}") from error


def budgets_of(text: str) -> tuple[float, ...]:
    """USD of `1000,10000`. Raises UsageError for text that is no amount, and for one that stands twice."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < one < 1e12 for one in found):
        raise UsageError(f"--budgets {text}: write amounts of USD above 0, such as 1000,10000")
    _once("--budgets", text, [f"{one:.0f}" for one in found])
    return found


def names_of(text: str | None) -> tuple[str, ...]:
    """Symbols of `BTC, ETH`, written as `run` takes them; None = all. Raises UsageError for an empty or double name."""
    if text is None:
        return ()
    names = tuple(part.strip().upper().replace("/", "-").removesuffix("-USD") for part in text.split(","))
    if not all(names):
        raise UsageError("--symbols has an empty name: write coins such as BTC,ETH")
    _once("--symbols", text, names)
    return names


def _once(option: str, text: str, names: Sequence[str]) -> None:
    """Raise UsageError for what is named again; budgets name bundles and experiments by whole USD."""
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UsageError(f"{option} {text}: {name} stands twice, name it once")


def _jobs(settings: PolicySettings) -> int:
    """As many processes as there are cores, and courses to run."""
    courses = settings.seeds * (len(settings.budgets) if settings.per_budget else 1)
    return min(courses, os.cpu_count() or 1)


def world_of(loaded: Loaded, pairs: tuple[Pair, ...], seen_until: int | None = None) -> World:
    """The configured rules, by which every book trades.

    seen_until  UTC s, last bar that may be seen; None = the last before the hold-out
    """
    from evenkeel import wiring
    from evenkeel.research.lessons import World

    made = World(wiring.rules_of(loaded.config, pairs), wiring.signal_settings(loaded.config))
    return made if seen_until is None else replace(made, holdout_from=seen_until)


def _new_version(home: Path, wanted: str | None, settings: PolicySettings) -> str:
    """A name that no bundle has, here or shipped, for all budgets. Raises ArtifactError for one that is taken."""
    from evenkeel.config import shipped
    from evenkeel.research.train_policy import groups_of

    shelves = (home / "models", shipped() / "models")
    name = wanted or artifacts.next_version(shelves, KIND)
    if wanted is None and settings.per_budget:  # v3-1000 is no name that the next version is counted from
        taken = {one.split("-")[0] for shelf in shelves for one in artifacts.versions(shelf, KIND)}
        name = next(f"v{number}" for number in range(int(name[1:]), 10_000) if f"v{number}" not in taken)
    for shelf in shelves:
        for group in groups_of(settings, name):
            artifacts.free(shelf, KIND, group.version)
    return name


# ---------------------------------------------------------------- what is said


def _standing(at: Progress) -> str:
    best = "" if at.best != at.best else f", best Sharpe {at.best:+.2f}"
    return f"{at.steps_a_s:,.0f} steps/s{best}, about {at.eta_s:.0f} s left"


def _warnings(done: Trained, read: Sequence[Candles]) -> Iterator[str]:
    """What a person would not see in the figures."""
    if done.tracked not in {"ok", "off"}:
        yield f"tracking: {done.tracked}; the model is the same without"
    for one in read[1:]:
        bar = one.panel.bar_s
        missing = [bundle.version for bundle in done.bundles if bar not in bundle.manifest["bars"]]
        if missing:
            versions = ", ".join(missing)
            yield f"{one.path.name} gives no evidence for {versions}: not to be served on {duration(bar)} bars"


def _of_training(done: Trained, read: Sequence[Candles], settings: PolicySettings) -> dict[str, Any]:
    return {
        "command": f"train {KIND}", "mode": settings.mode, "data": [one.to_json() for one in read],
        "bundles": [_of_bundle(bundle) for bundle in done.bundles], "seconds": round(done.seconds, 1),
        "steps": done.steps, "steps_a_s": round(done.steps / max(done.seconds, 1e-9)),
        "peak_rss_mb": round(done.peak_rss / MB), "tracking": done.tracked,
    }  # fmt: skip


def _of_bundle(bundle: Bundle) -> dict[str, Any]:
    said = bundle.manifest
    moments = ("from", "lessons_until", "judged_from", "until")
    return {
        "version": bundle.version, "path": bundle.path, "digest": bundle.digest, "files": said["files"],
        "bars": [duration(bar) for bar in said["bars"]], "budgets": said["budgets"],
        "train": {**said["train"], **{name: iso(said["train"][name]) for name in moments}},
        "expires": iso(said["expires"]), "seeds": said["seeds"], "chosen": said["chosen"],
        "specialists": said["specialists"], "settings": said["settings"],
        "evidence": {duration(int(bar)): found for bar, found in said["evidence"].items()},
    }  # fmt: skip


def _show(document: Mapping[str, Any]) -> None:
    for bundle in document["bundles"]:
        _show_bundle(bundle)
    for one in document["data"]:
        if one["held_out"]:
            say(f"held out: the last {one['held_out']} bars of {one['file']}, after {one['to']}")
    say(f"{document['steps']:,} steps in {document['seconds']:.0f} s ({document['steps_a_s']:,} steps/s), peak memory "
        f"{document['peak_rss_mb']} MB, tracking {document['tracking']}")  # fmt: skip
    for bundle in document["bundles"]:
        say(f"It decides nothing yet: `evenkeel models promote {KIND} {bundle['version']}`")


def _show_bundle(bundle: Mapping[str, Any]) -> None:
    trained = bundle["train"]
    say(f"{KIND} {bundle['version']} {bundle['digest'][:12]} in {bundle['path']}")
    say(f"taught on {trained['bar']} bars of {len(trained['symbols'])} assets, {trained['from']} .. "
        f"{trained['lessons_until']}, judged from {trained['judged_from']}; expires {bundle['expires']}")  # fmt: skip
    rows = [
        (
            f"seed {one['seed']}" + " (chosen)" * (one["seed"] == bundle["chosen"]),
            budget,
            *_figures(found),
            one["round"],
        )
        for one in bundle["seeds"]
        for budget, found in (("all", one["validation"]), *sorted(one["budgets"].items(), key=lambda x: float(x[0])))
    ]
    heads = ("validation", "budget", "active Sharpe", "max drawdown", "windows won", "round")
    for line in aligned(heads, rows, right=range(1, len(heads))):
        say(line)
    without = "not kept (4 of 5 are needed): the general actor speaks"
    for regime, wins in bundle["specialists"]["wins"].items():
        kept = "kept" if bundle["specialists"]["file"][regime] else without
        say(f"specialist {regime}: wins {wins} of {bundle['specialists']['seeds']} seeds, {kept}")
    for bar, found in bundle["evidence"].items():
        served = "" if bar in bundle["bars"] else ", not served there"
        say(f"tilt on {bar} bars: IC {_number(found['ic'])}, t {_number(found['ic_t'])}, "
            f"{found['decisions']} decisions{served}")  # fmt: skip


def _figures(found: Mapping[str, float | None]) -> tuple[str, str, str]:
    sharpe = found["sharpe"]
    return "-" if sharpe is None else f"{sharpe:+.2f}", percent(found["max_drawdown"]), percent(found["win_rate"], 1)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"
