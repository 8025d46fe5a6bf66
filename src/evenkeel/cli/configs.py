"""`config check|show|explain|schema`: what is configured, what each key means, and where its value came from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenkeel.cli.output import AsJson, ConfigFile, Context, Overrides, emit, say

if TYPE_CHECKING:
    from evenkeel.config import Loaded

app = typer.Typer(no_args_is_help=True, help="What is configured, and what every key means.")


@app.command()
def check(
    context: typer.Context, config: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Check the configuration and the universe; exit 2 with one sentence where something is wrong."""
    from evenkeel import wiring

    made: Context = context.obj
    loaded = _load(made, config, overrides)
    pairs = wiring.universe(loaded.config, made.home)
    document = {
        "command": "config check", "ok": True, "digest": loaded.digest, "pairs": len(pairs),
        "sources": dict(loaded.sources),
    }  # fmt: skip
    if as_json:
        emit(document)
    else:
        say(f"ok: {len(loaded.sources)} keys set, {len(pairs)} pairs, digest {loaded.digest[:12]}")


@app.command()
def show(
    context: typer.Context, config: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Print the whole configuration as it would be used: defaults, file, environment and --set together."""
    from evenkeel import config as configs

    loaded = _load(context.obj, config, overrides)
    shown = configs.show(loaded.config)
    if as_json:
        emit({"command": "config show", "config": shown, "digest": loaded.digest, "sources": dict(loaded.sources)})
        return
    import yaml

    say(f"# digest {loaded.digest}")
    for key, source in loaded.sources.items():
        say(f"# {key} from {source}")
    say(yaml.safe_dump(_plain(shown), sort_keys=False, allow_unicode=True, width=110).rstrip())


@app.command()
def explain(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="Such as overlay.vol_target, or a section.")],
    config: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Say what a key means: unit, range, default, its value now and where that came from."""
    from evenkeel import config as configs

    loaded = _load(context.obj, config, overrides)
    told = asdict(configs.explain(key, loaded.config, loaded.sources))
    if as_json:
        emit({"command": "config explain", **told})
        return
    for name, value in told.items():
        if value not in ("", None):
            say(f"{name:<9}{value}")


@app.command()
def schema(as_json: AsJson = False) -> None:
    """Print the JSON schema of a configuration file, for editors (JSON with or without --json)."""
    from evenkeel import config as configs

    del as_json
    emit(configs.schema())


def _load(made: Context, config: Any, overrides: list[str] | None) -> Loaded:
    from evenkeel import config as configs

    return configs.load(config, environ=made.environ, overrides=overrides or [], home=made.home)


def _plain(value: Any) -> Any:
    """What YAML can write: tuples as lists, decimals as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
