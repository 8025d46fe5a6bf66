"""Where the price of each pair comes from, and how old it is: what the service leaves in `state/quotes.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from evenkeel.units import duration

FILE = "quotes.json"


def prices(home: Path, now: float) -> dict[str, dict[str, Any]]:
    """Asset -> its source and the age of its last quote, s (None = never quoted); empty for a run over past bars."""
    try:
        body = json.loads((home / "state" / FILE).read_bytes())
        return {asset: {"source": row["source"], "age_s": _age(row["time"], now)} for asset, row in body.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _age(time: int | None, now: float) -> float | None:
    return None if time is None else round(max(0.0, now - time), 1)


def sentence(found: Mapping[str, Mapping[str, Any]]) -> str:
    """How many pairs each source prices, and how old its oldest quote is."""
    rows = sorted(found.values(), key=lambda row: str(row["source"]))
    return "; ".join(_source(name, list(of)) for name, of in groupby(rows, key=lambda row: str(row["source"])))


def _source(name: str, rows: list[Mapping[str, Any]]) -> str:
    ages = [row["age_s"] for row in rows if row["age_s"] is not None]
    never = len(rows) - len(ages)
    oldest = f", oldest {duration(int(max(ages)))}" if ages else ""
    return f"{name} {len(rows)} pairs{oldest}" + (f", {never} never quoted" if never else "")
