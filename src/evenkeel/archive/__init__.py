"""Which candles do we have, and can they be trusted? Parquet files in, one aligned `Panel` out.

`<home>/data/candles/<source>/<bar>/<SYMBOL>.parquet`, columns time (UTC s of the bar's *open*, int64), open, high, low,
close, volume (float64). The law: what is stored is sorted, unique, on the grid and sane; a bar that is missing stays
missing (nothing is ever filled). pandas is never imported here.

Rows travel as one float64 array `(n, 6)`: open time s, open, high, low, close, volume (`integrity.Rows`).
"""

from evenkeel.archive.files import Dataset, Span, append, candle_folder, datasets, plan_ranges, read, spans
from evenkeel.archive.ingest import check, ingest
from evenkeel.archive.integrity import IntegrityReport, Issue, Rows, SymbolReport
from evenkeel.archive.load import align, coarser, load, resample

__all__ = [
    "Dataset",
    "IntegrityReport",
    "Issue",
    "Rows",
    "Span",
    "SymbolReport",
    "align",
    "append",
    "candle_folder",
    "check",
    "coarser",
    "datasets",
    "ingest",
    "load",
    "plan_ranges",
    "read",
    "resample",
    "spans",
]
