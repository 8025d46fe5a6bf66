"""Commands -> functions: the only place that reads arguments and the environment.

Every command takes `--json` (one document on stdout) and returns a documented exit code; a mistake of the user gets one
sentence on stderr, never a traceback. A command's module is imported when the command is used, and heavy modules inside
the function that needs them, so that `evenkeel status` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: its idle threads cost each start 0.1 s of CPU

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from evenkeel.cli.output import Context, fail
from evenkeel.errors import EvenkeelError

COMMANDS: Mapping[str, str] = {
    "run": "running",
    "plan": "explain",
    "why": "explain",
    "status": "inspect",
    "logs": "logs",
    "halt": "control",
    "reduce": "control",
    "resume": "control",
    "flatten": "control",
    "doctor": "doctor",
    "config": "configs",
    "data": "data",
    "train": "training",
    "evaluate": "training",
    "models": "models",
    "honesty": "evidence",
    "parity": "evidence",
    "backtest": "running",
    "report": "reporting",
    "walkforward": "walkforward",
    "kalshi": "kalshi",
    "sandbox": "sandbox",
}
"""Command -> the module that has it: `app` where the command has commands of its own, else `register(app)`."""


class Lazy(TyperGroup):
    """Knows the names of all commands and imports the module of the one that is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the help page."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; None if there is none."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _load(cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the words name; a wrong one is compared with all that there are."""
        if args and args[0] not in COMMANDS:
            for name in COMMANDS:
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)


def _load(name: str) -> Any:
    module = import_module(f"evenkeel.cli.{COMMANDS[name]}")
    if hasattr(module, "app"):
        group = typer.main.get_group(module.app)
        group.name = name
        return group
    shelf = typer.Typer()
    shelf.callback()(_nothing)  # keeps it a group even where the module has one command only
    module.register(shelf)
    return typer.main.get_group(shelf).commands[name]


def _nothing() -> None:
    """No options of its own."""


app = typer.Typer(
    name="evenkeel",
    cls=Lazy,
    help="An unattended, scheduled, multi-asset crypto portfolio rebalancer. Dry run until its config says otherwise.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


@app.callback()
def _home(
    context: typer.Context,
    home: Annotated[
        Path, typer.Option("--home", envvar="EVENKEEL_HOME", help="Folder with config/, state/, logs/, data/, models/.")
    ] = Path(),
) -> None:
    context.obj = Context(home=home, environ=dict(os.environ))


def main() -> None:
    """Run a command; the process ends with its exit code."""
    try:
        code = _quick_status(sys.argv[1:])
        if code is not None:
            sys.exit(code)
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except EvenkeelError as error:
        fail(error)
        sys.exit(error.exit_code)
    except TyperException as error:
        sys.stderr.write(_misused(error))
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _misused(error: TyperException) -> str:
    """What is wrong with the words of a command, a line; nothing where typer has shown the page of a group."""
    said, context = error.format_message().strip(), getattr(error, "ctx", None)
    page = f"; see `{context.command_path} --help`" if context is not None else ""
    return f"evenkeel: {said.rstrip('.')}{page}\n" if said else ""


def _quick_status(words: list[str]) -> int | None:
    """Answer `[--home DIR] status [--check] [--json]` without typer, and say the exit code; None for anything else.

    Health checks ask for it every few seconds, and typer's validation of options imports pydantic (0.12 s of CPU).
    """
    home = Path(os.environ.get("EVENKEEL_HOME") or ".")
    if words[:1] == ["--home"] and len(words) > 1:
        home, words = Path(words[1]), words[2:]
    if words[:1] != ["status"] or not set(words[1:]) <= {"--check", "--json"}:
        return None
    from evenkeel.cli import inspect

    return inspect.answer(home, check="--check" in words, as_json="--json" in words)
