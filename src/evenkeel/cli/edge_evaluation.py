"""`evaluate edge`: boards with outcomes in, what the implied drift was worth out; kept, it sets the edge's strength."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel import artifacts
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, say
from evenkeel.cli.reasons import meaning
from evenkeel.errors import UsageError
from evenkeel.units import iso

if TYPE_CHECKING:
    from evenkeel.research.edge_skill import Heard, Measured

KIND = "edge"


def evaluate(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Captured ladders with settled values (.parquet); else the embedded market's."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Write it as a bundle under models/edge; `models promote` is not needed.")
    ] = False,
    version: Annotated[
        str | None, typer.Option("--version", help="Name of the bundle; left out, the next one.")
    ] = None,
    expires_days: Annotated[int, typer.Option(min=1, max=3_650, help="Days until nobody believes it any more.")] = 365,
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Measure what the drift that event contracts imply was worth: its information coefficient, good or bad.

    Without --data, the embedded market of the configuration is measured; such a measurement counts for it alone.
    """
    from evenkeel.research import edge_skill

    made: Context = context.obj
    heard = edge_skill.captured(data) if data is not None else _embedded(made, config, overrides or [])
    found = edge_skill.measured(heard)
    document = _document(heard, found, data)
    if keep:
        document["kept"] = str(_kept(made.home, found, version, expires_days))
    if as_json:
        emit(document)
    else:
        _show(document, found)


def _embedded(made: Context, config: Path | None, overrides: list[str]) -> Heard:
    from evenkeel import config as configs
    from evenkeel import wiring
    from evenkeel.research import edge_skill

    wanted = configs.load(config, environ=made.environ, overrides=overrides, home=made.home).config
    if wanted.feed.kind != "synthetic":
        raise UsageError(
            f"feed.kind is {wanted.feed.kind}: give --data FILE, or a configuration of the embedded market"
        )
    start, end = wiring.window(wanted)
    panel, _ = wiring.market(wanted, made.home, start, end)
    return edge_skill.embedded(panel, wanted.synthetic)


def _kept(home: Path, found: Measured, version: str | None, expires_days: int) -> Path:
    from evenkeel.config import shipped
    from evenkeel.research import edge_skill

    folder = home / "models"
    name = version or artifacts.next_version((folder, shipped() / "models"), KIND)
    bundle = edge_skill.keep(folder, name, found, created=int(time.time()), expires_days=expires_days)
    artifacts.promote(KIND, name, folder, shipped() / "models")
    return bundle.path


def _document(heard: Heard, found: Measured, data: Path | None) -> dict[str, Any]:
    coins = sorted({sample.coin for sample in heard.samples})
    return {
        "command": f"evaluate {KIND}",
        "data": None if data is None else data.name,
        **asdict(found),
        "since": iso(found.since),
        "until": iso(found.until),
        "weight": found.weight,
        "coins": {coin: sum(sample.coin == coin for sample in heard.samples) for coin in coins},
        "silent": dict(heard.silent),
        "sentence": found.sentence(),
        "kept": None,
    }


def _show(document: Mapping[str, Any], found: Measured) -> None:
    coins = ", ".join(f"{coin} {count}" for coin, count in document["coins"].items())
    say(f"{document['source']}: {found.events} events ({coins}), {found.closes} different closes, "
        f"{document['since']} .. {document['until']}")  # fmt: skip
    for reason, count in document["silent"].items():
        say(f"  {count} readings left out, {reason}: {meaning(reason) or 'its settled value is not known'}")
    say(found.sentence())
    say(f"a drift of one sigma was followed by {found.slope:+.3f} sigmas")
    if document["kept"]:
        say(f"kept as {document['kept']}, in use from now on")
