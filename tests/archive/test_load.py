"""From stored candles to one aligned panel."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from evenkeel import archive
from evenkeel.archive.files import CHUNK_BARS
from evenkeel.errors import DataError, NotReadyError
from evenkeel.types import Pair
from evenkeel.units import utc

BAR = 1800
T0 = utc("2025-07-01")


def _rows(count: int, first: int = T0, bar_s: int = BAR, price: float = 100.0) -> np.ndarray:
    i = np.arange(count, dtype=np.float64)
    return np.column_stack([first + i * bar_s, price + i, price + i + 3, price + i - 2, price + i + 1, 10 + i])


def _pair(asset: str, **symbols: tuple[str, int]) -> Pair:
    return Pair(asset, f"{asset}/USD", 1, 2, 3, Decimal(1), symbols=symbols)


BTC = _pair("BTC", binance=("BTCUSDT", 1), perp=("BTCUSDT", 1))
PEPE = _pair("PEPE", binance=("PEPEUSDT", 1), perp=("1000PEPEUSDT", 1000))
CHEEMS = _pair("1000CHEEMS", binance=("1000CHEEMSUSDT", 1))
NONE = _pair("NONE", binance=("NONEUSDT", 1))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    archive.append(tmp_path, "perp", BAR, "BTCUSDT", _rows(10))
    archive.append(tmp_path, "perp", BAR, "1000PEPEUSDT", _rows(6, T0 + 6 * BAR, price=8.0))
    archive.append(tmp_path, "perp", BAR, "1000CHEEMSUSDT", np.delete(_rows(8), 3, axis=0))
    return tmp_path


def test_load_aligns_on_one_grid_of_closes(home):
    """Assets in the order of the pairs, time is the bar's close, NaN before the listing, after the end and in a gap."""
    panel, missing = archive.load(home, "perp", BAR, [PEPE, NONE, BTC, CHEEMS])

    assert panel.assets == ("PEPE", "BTC", "1000CHEEMS")
    assert missing == ("NONE",)
    assert panel.time.tolist() == [T0 + (i + 1) * BAR for i in range(12)]
    assert np.isnan(panel.close[:, 0]).tolist() == [True] * 6 + [False] * 6
    assert np.isnan(panel.volume[:, 1]).tolist() == [False] * 10 + [True] * 2
    assert np.flatnonzero(np.isnan(panel.open[:, 2])).tolist() == [3, 8, 9, 10, 11]
    assert not panel.close.flags.writeable


def test_load_takes_the_price_factor_out(home):
    """1000PEPEUSDT quotes 1000 coins: price / 1000, volume x 1000; 1000CHEEMS is a coin's own name."""
    panel, _ = archive.load(home, "perp", BAR, [PEPE, CHEEMS])

    assert panel.open[6, 0] == 8.0 / 1000
    assert panel.volume[6, 0] == 10.0 * 1000
    assert panel.open[0, 1] == 100.0


def test_load_prefers_the_symbol_of_the_source(home):
    """Where a source stores both spellings of a coin, its own one counts; any other is better than none."""
    archive.append(home, "perp", BAR, "PEPEUSDT", _rows(6, price=5.0))
    assert archive.load(home, "perp", BAR, [PEPE])[0].open[0, 0] == 8.0 / 1000

    archive.append(home, "imported", BAR, "1000PEPEUSDT", _rows(6, price=8.0))
    assert archive.load(home, "imported", BAR, [PEPE])[0].open[0, 0] == 8.0 / 1000


def test_load_cuts_whole_bars_out_of_a_period(home):
    """Times are start < close <= end: a bar that reaches out of the period is left out."""
    panel, _ = archive.load(home, "perp", BAR, [BTC], T0 + 2 * BAR, T0 + 5 * BAR + 60)

    assert panel.time.tolist() == [T0 + i * BAR for i in (3, 4, 5)]
    with pytest.raises(NotReadyError, match=r"between 2026-01-01T00:00:00Z and the end: run `evenkeel data import"):
        archive.load(home, "perp", BAR, [BTC], utc("2026-01-01"))


def test_load_makes_a_coarser_bar_from_a_finer_one(home):
    """1 h from stored 30 m: only whole hours; other bars that are stored do not stand in."""
    panel, _ = archive.load(home, "perp", 3600, [BTC, CHEEMS])

    assert panel.bar_s == 3600
    assert panel.time.tolist() == [T0 + (i + 1) * 3600 for i in range(5)]
    assert (panel.open[0, 0], panel.high[0, 0], panel.low[0, 0]) == (100.0, 104.0, 98.0)
    assert (panel.close[0, 0], panel.volume[0, 0]) == (102.0, 21.0)
    assert np.isnan(panel.close[1, 1])
    with pytest.raises(NotReadyError, match=r"no candles of these pairs that make 15m bars \(stored: 30m\)"):
        archive.load(home, "perp", 900, [BTC])


def test_nothing_stored_says_what_to_run(tmp_path):
    """An empty archive is `not ready` and names both commands."""
    with pytest.raises(
        NotReadyError, match=r"no candles of perp .*data import FILE --bar 30m.*data download --bar 30m"
    ):
        archive.load(tmp_path, "perp", BAR, [BTC])


@pytest.mark.parametrize("minutes", [1, 5, 15, 30])
def test_resample_gives_the_bars_that_the_coarse_grid_defines(tmp_path, minutes):
    """Every length of finer bar makes the same hour; hours that begin or end inside are dropped."""
    bar_s = minutes * 60
    count = 4 * 3600 // bar_s
    first = T0 + 3600 - bar_s
    archive.append(tmp_path, "x", bar_s, "A", _rows(count, first, bar_s, 1000.0))

    report = archive.resample(tmp_path, "x", bar_s, 3600)

    hours = archive.read(tmp_path, "x", 3600, "A")
    assert report.rows == len(hours) == 3
    assert hours[:, 0].tolist() == [T0 + 3600 * i for i in (1, 2, 3)]
    assert hours[0, 1] == 1001.0
    assert hours[0, 4] == 1000.0 + 3600 // bar_s + 1


def test_resample_refuses_what_does_not_divide(home):
    """30 m cannot make 45 m."""
    with pytest.raises(DataError, match="whole multiple"):
        archive.resample(home, "perp", BAR, 2700)


def test_append_leaves_out_rows_with_defects(tmp_path):
    """A downloaded row passes the same test as an imported one."""
    rows = _rows(5)
    rows[2, 2] = 1.0

    assert archive.append(tmp_path, "x", BAR, "A", rows) == 4


def test_datasets_lists_what_lies_there(home):
    """Rows, period and bytes of every source and bar, from footers alone."""
    archive.resample(home, "perp", BAR, 3600)
    by_bar = {dataset.bar: dataset for dataset in archive.datasets(home)}

    assert (by_bar["30m"].rows, by_bar["30m"].first, by_bar["30m"].last) == (23, T0, T0 + 11 * BAR)
    assert by_bar["1h"].symbols == ("1000CHEEMSUSDT", "1000PEPEUSDT", "BTCUSDT")
    assert by_bar["30m"].to_json()["bytes"] > 0


def test_plan_ranges_keeps_one_stretch(home):
    """New symbols from the start in chunks; stored ones backward before, forward after; the interior is left alone."""
    have = archive.spans(home, "perp", BAR)
    long_ago = T0 - (CHUNK_BARS + 5) * BAR

    plan = archive.plan_ranges(have, ["BTCUSDT", "NEW"], BAR, long_ago - 17, T0 + 12 * BAR + 17)

    assert plan["BTCUSDT"] == (
        (T0 - CHUNK_BARS * BAR, T0),
        (long_ago, T0 - CHUNK_BARS * BAR),
        (T0 + 10 * BAR, T0 + 12 * BAR),
    )
    assert plan["NEW"] == ((long_ago, T0 - 5 * BAR), (T0 - 5 * BAR, T0 + 12 * BAR))
    late = archive.plan_ranges(have, ["BTCUSDT"], BAR, T0 + 11 * BAR, T0 + 12 * BAR)
    assert late["BTCUSDT"] == ((T0 + 10 * BAR, T0 + 12 * BAR),)


def test_loading_does_not_import_pandas(home):
    """The service reads candles without pandas."""
    code = (
        "import sys, evenkeel.archive as a; from pathlib import Path; "
        f"a.append(Path({str(home)!r}), 'y', 1800, 'B', a.read(Path({str(home)!r}), 'perp', 1800, 'BTCUSDT')); "
        "sys.exit('pandas' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
