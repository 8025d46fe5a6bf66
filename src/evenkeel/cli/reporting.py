"""`report`, and what `backtest --report` writes: one HTML page, its figures as JSON beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from evenkeel.cli.backtests import Ask
from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, say
from evenkeel.errors import UsageError

PLAIN = Path("report.html")
DEFAULT = Path("config/replay.yaml")

Quick = Annotated[
    bool, typer.Option("--quick", help="The run and BTC held only: no other baseline, no ablation, no doubled costs.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 4 where the verdict says IN-SAMPLE.")]


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(report)


def report(
    context: typer.Context,
    runs: Annotated[list[Path] | None, typer.Argument(help="With --compare: reports as JSON, two or more.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Put the RUNS side by side.")] = False,
    from_journal: Annotated[
        bool, typer.Option("--from-journal", help="Of the run that this home remembers, instead of a new back-test.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="HTML file; its JSON lies beside it. Default: report.html.")] = None,
    config: ConfigFile = None,
    quick: Quick = False,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Say in one HTML page what a run was worth: a back-test, the run in this home, or several side by side."""
    made: Context = context.obj
    if compare and (from_journal or config or overrides or quick):
        raise UsageError("--compare reads finished reports: leave --from-journal, --config, --set and --quick out")
    if runs and not compare:
        raise UsageError(f"{runs[0]}: reports are read by --compare only: say report --compare FILE FILE")
    page = out if out is not None or as_json else PLAIN
    if page is not None:
        ready(page, "--out")
    if compare:
        document = _compared(runs or [])
    elif from_journal:
        from evenkeel.cli import journaled

        document = journaled.document(made, config, tuple(overrides or []), quick=quick, quiet=as_json)
    else:
        from evenkeel.cli import measured

        ask = Ask(made, config or DEFAULT, tuple(overrides or []))
        measured.enough(ask.loaded())
        document = measured.of_backtest(ask, measured.run(ask, "run", quiet=as_json), quick=quick, quiet=as_json)
    written(document, page)
    if as_json:
        emit(document)
    else:
        show(document, page)


# ---------------------------------------------------------------- side by side


def _compared(paths: Sequence[Path]) -> dict[str, Any]:
    """Several reports as one. Raises UsageError for a file that is none."""
    from evenkeel.research import report as research

    read = [_read(path) for path in paths]
    stems = [path.stem for path in paths]
    try:
        made = research.compare(read, int(time.time()), stems if len(set(stems)) == len(stems) else None)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        names = ", ".join(map(str, paths))
        raise UsageError(f"{names}: not all are reports of this version ({error!r}): write them anew") from error
    return {"command": "report", **made}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--compare {path}: {error.strerror}, give the JSON beside a report") from error
    except orjson.JSONDecodeError as error:
        raise UsageError(f"--compare {path}: is no JSON ({error}), give the JSON beside a report") from error
    if not isinstance(found, dict) or not {"curve", "figures", "verdict", "period"} <= found.keys():
        raise UsageError(f"--compare {path}: is no report of one run, give the JSON beside a report")
    return found


# ---------------------------------------------------------------- files


def ready(page: Path, option: str) -> None:
    """Refuse before the work a page that cannot be written. Raises UsageError."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{option} {page}: is no page's name, let it end with .html (its JSON lies beside it)")
    folder = page.parent
    if page.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"{option} {page}: cannot be written there, give a file in a writable folder")


def written(document: Mapping[str, Any], page: Path | None) -> None:
    """The page, and its twin beside it."""
    if page is None:
        return
    from evenkeel.research import report as research

    research.write(document, page)
    twin = page.with_suffix(".json")
    try:
        twin.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    except OSError as error:
        raise UsageError(f"cannot write the report's figures {twin}: {error.strerror}") from error


def show(document: Mapping[str, Any], page: Path | None) -> None:
    """The verdict, baseline by baseline, and where the rest stands."""
    for item in document["verdict"]["items"]:
        say(item["sentence"])
    say_verdict(document["verdict"]["line"], page)


def say_verdict(line: str, page: Path | None) -> None:
    """The verdict in one line, and where the rest stands."""
    say(f"\n{line}")
    if page is not None:
        say(f"report {page}, its figures {page.with_suffix('.json')}")
