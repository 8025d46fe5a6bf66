"""Contracts whose outcome is known, as they were quoted at one moment each: the table that everything here judges.

Three kinds of files become it: `ladders` (crypto hourly), `games` (NBA), `quarters` (15-minute crypto). The law: a row
holds what was known at its time, and its outcome; a missing or empty price is no quote, never a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evenkeel.errors import DataError
from evenkeel.events.board import series_of
from evenkeel.events.pipeline import COINS
from evenkeel.types import Array, BoolArray, IntArray

WIDEST: Final = 0.10
"""Spread, USD, beyond which a mid is no price (design section 10)."""

LEAST_LEFT_S: Final = 90
"""Time to close, s, at which quotes are looked at no more."""

LADDERS: Final[Mapping[str, str]] = {f"KX{coin}{kind}": coin for coin in sorted(COINS) for kind in ("", "D")}
"""Series of hourly ladders and their coins: `KXBTC` has ranges that exclude each other, `KXBTCD` thresholds."""

TERMS: Final[Mapping[str, tuple[str, Decimal]]] = {
    **dict.fromkeys(LADDERS, ("quadratic", Decimal(1))),
    "KXXRP15M": ("quadratic", Decimal(1)),
    "KXZEC15M": ("quadratic", Decimal(1)),
    "KXNBAGAME": ("quadratic_with_maker_fees", Decimal(1)),
}
"""Fee type and multiplier of the series in the files, which do not tell them (specs/kalshi.md section 9)."""

TIMES: Final = frozenset({"captured_at", "close_time", "timestamp", "game_date"})
TEXTS: Final = frozenset({
    "ticker", "series", "event_ticker", "strike_type", "result", "result_source", "outcome",
})  # fmt: skip
"""Columns that are times, and that are text; all others are numbers."""

Words = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Settled:
    """n quotes of settled contracts, by time.

    ticker, series, event   (n,) names; an event is what is decided at once
    cluster  (n,) name of what is one observation: events that close together (crypto), a game (NBA)
    time     (n,) UTC s when the quote was true · close (n,) UTC s
    bid, ask (n,) USD of YES, NaN = no quote · outcome (n,) 1 = YES, 0 = NO, NaN = not told
    """

    ticker: Words
    series: Words
    event: Words
    cluster: Words
    time: IntArray
    close: IntArray
    bid: Array
    ask: Array
    outcome: Array

    @property
    def mid(self) -> Array:
        """(n,) USD of YES; NaN where a side is missing."""
        return (self.bid + self.ask) / 2

    @property
    def left(self) -> Array:
        """(n,) s to the close; < 0 after it."""
        return (self.close - self.time).astype(np.float64)

    @property
    def judged(self) -> BoolArray:
        """(n,) two-sided, spread <= 0.10, more than 90 s to the close, outcome told: what prices may be judged on."""
        with np.errstate(invalid="ignore"):
            narrow = (self.ask - self.bid > 0) & (self.ask - self.bid <= WIDEST + 1e-9)
        known: BoolArray = narrow & (self.left > LEAST_LEFT_S) & np.isfinite(self.outcome)
        return known

    def pick(self, rows: BoolArray | IntArray) -> Settled:
        """The rows of a mask or of indices."""
        return Settled(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def table(path: Path, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Columns of a Parquet file: text as str arrays ('' = null), times as UTC s, numbers as float64 (NaN = null).

    Raises DataError for a file that cannot be read or lacks a column.
    """
    import pyarrow as pa  # noqa: PLC0415 - slow to import
    import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import

    try:
        read = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}): give the file as it was downloaded") from None
    missing = [name for name in columns if name not in read.column_names]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}: it is another kind of file")
    return {name: _column(path, name, read.column(name)) for name in columns}


def names(path: Path) -> tuple[str, ...]:
    """Names of a Parquet file's columns. Raises DataError for a file that is none."""
    import pyarrow as pa  # noqa: PLC0415 - slow to import
    import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import

    try:
        return tuple(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}): give the file as it was downloaded") from None


def _column(path: Path, name: str, column: Any) -> NDArray[Any]:
    """One column as its name wants it. Raises DataError for another type."""
    import pyarrow as pa  # noqa: PLC0415 - slow to import
    import pyarrow.compute as pc  # noqa: PLC0415 - slow to import

    kind, types = column.type, pa.types
    try:
        if name in TIMES:
            moments = pc.cast(column, pa.timestamp("us")) if types.is_timestamp(kind) else None
            if moments is not None and not moments.null_count:
                return np.asarray(moments.to_numpy().astype("datetime64[s]").astype(np.int64))
        elif name in TEXTS:
            if types.is_null(kind) or types.is_string(kind) or types.is_large_string(kind):
                return np.array(pc.fill_null(pc.cast(column, pa.string()), "").to_pylist(), dtype=np.str_)
        elif not types.is_string(kind) and not types.is_large_string(kind):
            return np.asarray(pc.fill_null(pc.cast(column, pa.float64()), math.nan).to_numpy(), dtype=np.float64)
    except pa.ArrowException:
        pass
    wanted = "times without a gap" if name in TIMES else "words" if name in TEXTS else "numbers"
    raise DataError(f"{path}: column {name} is {kind} with {column.null_count} missing, {wanted} are expected")


def quotes(given: Array, what: str) -> Array:
    """Prices of a file, USD: 0 and 1 and what is missing are no quote. Raises DataError outside of [0, 1]: cents."""
    odd = np.isfinite(given) & ((given < 0) | (given > 1))
    if odd.any():
        raise DataError(f"{what} {given[odd][0]:g} is not between 0 and 1 USD: is it in cents?")
    return np.where((given > 0) & (given < 1), given, math.nan)


def outcomes(result: Words) -> Array:
    """1 for `yes`, 0 for `no`, NaN where the venue told nothing. Raises DataError for another word."""
    odd = [str(word) for word in np.unique(result) if word not in ("yes", "no", "")]
    if odd:
        raise DataError(f"a result is {odd[0]!r}: only yes and no are understood")
    return np.select([result == "yes", result == "no"], [1.0, 0.0], math.nan)


def series(tickers: Words) -> Words:
    """(n,) series of tickers."""
    different, of = np.unique(tickers, return_inverse=True)
    return np.array([series_of(str(one)) for one in different], dtype=np.str_)[of]


def ordered(cluster: Words, time: IntArray) -> tuple[Words, IntArray]:
    """Clusters by the first time that each was seen at, and those times."""
    different, of = np.unique(cluster, return_inverse=True)
    first = np.full(len(different), np.iinfo(np.int64).max)
    np.minimum.at(first, of, time)
    order = np.argsort(first, kind="stable")
    return different[order], first[order]
