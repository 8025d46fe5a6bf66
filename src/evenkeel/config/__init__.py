"""One frozen, strict `Config`: what was asked for, from which layer, and what every key means.

Layers: defaults < file < environment (`EVENKEEL__SECTION__KEY`) < `--set section.key=value`.
The one law: a key that is not known, or a value out of its range, stops the program with one sentence.
"""

from evenkeel.config.explain import Explained, digest, document, explain, schema, show
from evenkeel.config.files import find, shipped
from evenkeel.config.load import Loaded, load
from evenkeel.config.secrets import KALSHI, LLM, Secrets, credential_names, desk_allowed, live_allowed, secrets
from evenkeel.config.sections import (
    Clock,
    Config,
    Feed,
    History,
    Logging,
    Schedule,
    Universe,
    Venue,
)
from evenkeel.config.universe import load_universe

__all__ = [
    "KALSHI",
    "LLM",
    "Clock",
    "Config",
    "Explained",
    "Feed",
    "History",
    "Loaded",
    "Logging",
    "Schedule",
    "Secrets",
    "Universe",
    "Venue",
    "credential_names",
    "desk_allowed",
    "digest",
    "document",
    "explain",
    "find",
    "live_allowed",
    "load",
    "load_universe",
    "schema",
    "secrets",
    "shipped",
    "show",
]
