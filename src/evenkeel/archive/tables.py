"""What does a stranger's candle file say? Parquet, CSV or Feather in; symbols and rows out, or one sentence why not.

Wanted columns: timestamp (the bar's open: date-time, ISO text, or epoch s, ms, us, ns; without a zone it is UTC),
symbol, open, high, low, close, volume. Others are ignored. The law: a value that is present but not understood refuses
the file; only absent values (null, NaN, empty) pass on as NaN, to be dropped and counted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evenkeel.archive.integrity import Codes, Rows
from evenkeel.errors import DataError
from evenkeel.types import Array

NUMBERS = ("open", "high", "low", "close", "volume")
WANTED = ("timestamp", "symbol", *NUMBERS)
_ABSENT = ["", "NaN", "nan", "NULL", "null", "None", "NA", "N/A", "#N/A"]
# Epoch numbers of 1971 to 2286 in one unit never look like another unit's.
_EPOCHS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (3e7, 1.0))
_LATEST = 4_102_444_800  # 2100-01-01


def read_candles(path: Path) -> tuple[tuple[str, ...], Codes, Rows]:
    """All rows of a file in file order: symbol names, (n,) index of each row's symbol (-1 = none), (n, 6) rows.

    Raises DataError, naming file, column or row, value and what to do: missing file, wrong suffix, unreadable or empty
    file, missing column, text where a number or a time is wanted.
    """
    table = _table(path)
    absent = [name for name in WANTED if table.schema.get_field_index(name) < 0]
    if absent:
        raise _wrong_columns(path, absent, table.column_names)
    if table.num_rows == 0:
        raise DataError(f"{path} holds no rows: give a file with at least one candle")
    rows = np.empty((table.num_rows, 6))
    rows[:, 0] = _times(path, _flat(table, "timestamp"))
    for i, name in enumerate(NUMBERS, start=1):
        rows[:, i] = _numbers(path, name, _flat(table, name))
    names, codes = _symbols(path, _flat(table, "symbol"))
    return names, codes, rows


def _table(path: Path) -> Any:
    reader = {".parquet": _parquet, ".csv": _csv, ".feather": _feather}.get(path.suffix.lower())
    if not path.exists():
        raise DataError(f"{path} does not exist: give the path of a .parquet, .csv or .feather file")
    if reader is None or not path.is_file():
        what = "is no file" if not path.is_file() else f"ends in {path.suffix or 'nothing'!r}"
        raise DataError(f"{path} {what}: candles come as .parquet, .csv or .feather files")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty: give a file with a header and at least one candle")
        return reader(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path} cannot be read ({str(error).splitlines()[0]}): write it again or check its kind"
        ) from error


def _parquet(path: Path) -> Any:
    with pq.ParquetFile(path) as file:
        return file.read(columns=[name for name in file.schema_arrow.names if name in WANTED])


def _feather(path: Path) -> Any:
    from pyarrow import feather  # noqa: PLC0415 - only an import of that kind needs it

    return feather.read_table(path)


def _csv(path: Path) -> Any:
    """Every column as text first where a number does not parse, so that the offending row can be named."""
    from pyarrow import csv  # noqa: PLC0415 - only an import of that kind needs it

    text = {"timestamp": pa.string(), "symbol": pa.string()}
    kinds = (text | dict.fromkeys(NUMBERS, pa.float64()), text | dict.fromkeys(NUMBERS, pa.string()))
    try:
        return csv.read_csv(path, convert_options=_csv_options(kinds[0]))
    except pa.ArrowInvalid:
        return csv.read_csv(path, convert_options=_csv_options(kinds[1]))


def _csv_options(kinds: dict[str, Any]) -> Any:
    from pyarrow import csv  # noqa: PLC0415 - only an import of that kind needs it

    return csv.ConvertOptions(column_types=kinds, null_values=_ABSENT, strings_can_be_null=True)


def _wrong_columns(path: Path, absent: list[str], found: list[str]) -> DataError:
    twice = sorted({name for name in absent if found.count(name) > 1})
    if twice:
        return DataError(f"{path} has the column {twice[0]!r} more than once: keep one")
    word = "columns" if len(absent) > 1 else "column"
    return DataError(
        f"{path} lacks the {word} {', '.join(absent)} (found: {', '.join(found) or 'none'}): "
        f"name the columns {', '.join(WANTED)}"
    )


def _flat(table: Any, name: str) -> Any:
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _numbers(path: Path, name: str, column: Any) -> Array:
    kind = column.type
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    if not number and not _is_text(kind) and not pa.types.is_null(kind):
        raise DataError(f"{path}, column {name} holds {kind}, not numbers: write prices and volumes as numbers")
    try:
        return _floats(_present(column) if _is_text(kind) else column)
    except pa.ArrowInvalid:
        row, value = _first_bad(column, float)
        raise DataError(
            f"{path}, row {row}, column {name}: {value!r} is not a number: correct it, or leave it empty if unknown"
        ) from None


def _floats(column: Any) -> Array:
    array: Array = np.asarray(
        np.from_dlpack(pc.fill_null(column.cast(pa.float64(), safe=False), float("nan"))), dtype=np.float64
    )
    return array


def _present(column: Any) -> Any:
    """Text with the words for "absent" turned into nulls."""
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(text, value_set=pa.array(_ABSENT, type=text.type)), None, text)


def _times(path: Path, column: Any) -> Array:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _seconds(column)
    if _is_text(kind):
        return _text_times(path, _present(column))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _epoch_times(path, _floats(column))
    raise DataError(f"{path}, column timestamp holds {kind}: write date-times, ISO text or epoch seconds")


def _seconds(column: Any) -> Array:
    """Date-times (a zone is honoured, none is UTC) as float UTC s, microseconds kept so that off-grid rows show."""
    micros = column.cast(pa.timestamp("us", tz=getattr(column.type, "tz", None)), safe=False).cast(pa.int64())
    return _floats(micros) / 1e6


def _text_times(path: Path, column: Any) -> Array:
    for attempt in (pa.float64(), pa.timestamp("us"), pa.timestamp("us", tz="UTC")):
        try:
            parsed = column.cast(attempt)
        except pa.ArrowInvalid:
            continue
        return _epoch_times(path, _floats(parsed)) if pa.types.is_floating(attempt) else _seconds(parsed)
    return _mixed_times(path, column)


def _mixed_times(path: Path, column: Any) -> Array:
    """Row by row, for spellings that Arrow does not take in one go (mixed zones, `+00`, fractions)."""
    out = np.full(len(column), np.nan)
    for i, text in enumerate(column.to_pylist()):
        if text is None:
            continue
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise DataError(
                f"{path}, row {i + 1}, column timestamp: {text!r} is no time: write 2025-07-01T00:30Z or epoch seconds"
            ) from None
        out[i] = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return out


def _epoch_times(path: Path, numbers: Array) -> Array:
    known = np.flatnonzero(np.isfinite(numbers))
    if len(known) == 0:
        return numbers
    scale = next((scale for least, scale in _EPOCHS if abs(numbers[known[0]]) >= least), 1.0)
    time = numbers / scale
    strange = known[(time[known] < _EPOCHS[-1][0]) | (time[known] > _LATEST)]
    if len(strange):
        row = int(strange[0])
        raise DataError(
            f"{path}, row {row + 1}, column timestamp: {numbers[row]:.15g} is no epoch time like the first "
            f"({numbers[known[0]]:.15g}): write all rows in one unit, seconds or milliseconds"
        )
    return time


def _symbols(path: Path, column: Any) -> tuple[tuple[str, ...], Codes]:
    if not _is_text(column.type) and not pa.types.is_null(column.type):
        raise DataError(f"{path}, column symbol holds {column.type}, not text: write symbols such as BTCUSDT")
    encoded = _present(column.cast(pa.string())).dictionary_encode()
    found = [str(name) for name in encoded.dictionary.to_pylist()]
    codes = np.from_dlpack(pc.fill_null(encoded.indices, -1)).astype(np.int64)
    # Names sorted, so that what is imported does not depend on the order of the file.
    rank = np.empty(len(found) + 1, dtype=np.int64)
    rank[np.argsort(np.array(found, dtype=object))] = np.arange(len(found))
    rank[-1] = -1
    return tuple(sorted(found)), rank[codes]


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _first_bad(column: Any, parse: Any) -> tuple[int, str]:
    """1-based data row and value of the first text that `parse` refuses."""
    for row, text in enumerate(_present(column).to_pylist(), start=1):
        if text is not None:
            try:
                parse(text)
            except ValueError:
                return row, text
    return 0, "?"
