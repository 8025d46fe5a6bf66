"""Import of candles: every defect has one stated outcome, and bad files are refused in one sentence."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from evenkeel import archive
from evenkeel.archive.integrity import OUTCOMES
from evenkeel.errors import DataError, EvenkeelError, NotReadyError
from evenkeel.units import utc

BAR = 1800
T0 = utc("2025-07-01")
PERP = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "perp_30m.parquet"


def _bars(count: int = 20, symbol: str = "BTCUSDT", first: int = T0, price: float = 100.0) -> list[list]:
    """Sane rows: time s, symbol, open, high, low, close, volume."""
    return [[first + i * BAR, symbol, price, price + 2, price - 2, price + 1, 10.0 + i] for i in range(count)]


def _table(rows: list[list], *, times=None) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    time = pa.array(columns[0], pa.int64()) if times is None else times
    numbers = [pa.array(column, pa.float64()) for column in columns[2:]]
    names = ["timestamp", "symbol", "open", "high", "low", "close", "volume"]
    return pa.table([time, pa.array(columns[1]), *numbers], names=names)


def _write(path: Path, table: pa.Table) -> Path:
    writers = {".csv": pyarrow.csv.write_csv, ".feather": pyarrow.feather.write_feather, ".parquet": pq.write_table}
    writers[path.suffix](table, path)
    return path


def _ingest(tmp_path: Path, rows: list[list], name: str = "in.parquet") -> archive.IntegrityReport:
    return archive.ingest(_write(tmp_path / name, _table(rows)), BAR, tmp_path / "home", "perp")


def _stored(tmp_path: Path, symbol: str = "BTCUSDT") -> np.ndarray:
    return archive.read(tmp_path / "home", "perp", BAR, symbol)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".feather"])
def test_round_trip_keeps_every_bit(tmp_path, suffix):
    """What is imported is what is read, in all three kinds of file."""
    rng = np.random.default_rng(3)
    rows = _bars(50)
    for row in rows:
        row[6] = float(rng.uniform(1, 1e9))

    report = _ingest(tmp_path, rows, f"in{suffix}")

    assert (report.rows, report.kept, report.stored, report.assets) == (50, 50, 50, 1)
    assert _stored(tmp_path).tolist() == [[row[0], *row[2:]] for row in rows]


_TIMES = {
    "epoch s": pa.array,
    "epoch ms": lambda t: pa.array([x * 1000 for x in t]),
    "epoch us": lambda t: pa.array([x * 1_000_000 for x in t]),
    "epoch ms as text": lambda t: pa.array([str(x * 1000) for x in t]),
    "float s": lambda t: pa.array([float(x) for x in t]),
    "naive": lambda t: pa.array([x * 1000 for x in t]).cast(pa.timestamp("ms")),
    "zoned": lambda t: pa.array([x * 10**9 for x in t]).cast(pa.timestamp("ns", tz="Asia/Tokyo")),
    "iso z": lambda t: pa.array([f"{np.datetime64(x, 's')}Z" for x in t]),
    "iso naive": lambda t: pa.array([str(np.datetime64(x, "s")).replace("T", " ") for x in t]),
    "iso offset": lambda t: pa.array([f"{np.datetime64(x + 7200, 's')}+02:00" for x in t]),
    "iso mixed": lambda t: pa.array([str(np.datetime64(x, "s")) + ("Z" if i % 2 else "") for i, x in enumerate(t)]),
}


@pytest.mark.parametrize("kind", _TIMES)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_every_spelling_of_a_time_is_the_same_time(tmp_path, kind, suffix):
    """Date-times with and without zone, ISO text and epochs in s, ms, us mean UTC."""
    rows = _bars(12)
    times = _TIMES[kind]([row[0] for row in rows])

    archive.ingest(_write(tmp_path / f"in{suffix}", _table(rows, times=times)), BAR, tmp_path / "home", "perp")

    assert _stored(tmp_path)[:, 0].tolist() == [row[0] for row in rows]


def _with(rows: list[list], i: int, column: int, value: float) -> list[list]:
    rows[i][column] = value
    return rows


_DROPPED = {
    "missing_value": lambda rows: _with(rows, 4, 5, math.nan),
    "nonpositive_price": lambda rows: _with(_with(rows, 4, 4, 0.0), 5, 2, -1.0),
    "broken_ohlc": lambda rows: _with(_with(rows, 4, 3, 100.5), 5, 4, 100.5),
    "negative_volume": lambda rows: _with(rows, 4, 6, -1.0),
    "off_grid": lambda rows: _with(rows, 4, 0, T0 + 4 * BAR + 7),
}


@pytest.mark.parametrize("kind", _DROPPED)
def test_a_row_with_a_defect_is_dropped_and_counted(tmp_path, kind):
    """Nothing is repaired: the row goes, the count and an example stay, its place is a gap."""
    rows = _DROPPED[kind](_bars(30))

    report = _ingest(tmp_path, rows)

    bad = report.count(kind)
    assert bad in (1, 2)
    assert report.kept == len(_stored(tmp_path)) == 30 - bad
    assert report.symbols["BTCUSDT"].missing_bars == bad
    issue = next(issue for issue in report.issues if issue.kind == kind)
    assert issue.outcome == "dropped"
    assert "BTCUSDT 2025-07-01T02:00:0" in issue.example


def test_duplicates_keep_the_last_and_conflicts_are_told(tmp_path):
    """An identical twin is harmless; of two rows that disagree the last one wins and the clash is counted."""
    rows = _bars(20)
    twin, clash = list(rows[3]), list(rows[5])
    clash[6] = 999.0

    report = _ingest(tmp_path, [*rows, twin, clash])

    assert (report.count("duplicate"), report.count("conflicting_duplicate"), report.kept) == (1, 1, 20)
    assert _stored(tmp_path)[5, 5] == 999.0


def test_gap_zero_volume_and_jump_are_kept_and_told(tmp_path):
    """A missing bar stays missing; quiet bars and jumps are facts of the market."""
    rows = _bars(40)
    del rows[20:23], rows[10]
    rows[2][6] = 0.0
    for row in rows[30:]:
        row[2:6] = [200.0, 202.0, 198.0, 201.0]

    report = _ingest(tmp_path, rows)

    assert [report.count(kind) for kind in ("gap", "zero_volume", "jump")] == [2, 1, 1]
    assert report.kept == 36
    gap = next(issue for issue in report.issues if issue.kind == "gap")
    assert (gap.outcome, gap.example) == ("kept", "3 bars of 30m missing after BTCUSDT 2025-07-01T09:30:00Z")


def test_a_file_in_any_order_gives_the_same_archive(tmp_path):
    """Shuffled rows are sorted; symbols do not mix."""
    rows = _bars(30) + _bars(25, "ETHUSDT", price=7.0)
    np.random.default_rng(1).shuffle(rows)

    report = _ingest(tmp_path, rows)

    assert (report.assets, report.count("gap"), report.stored) == (2, 0, 55)
    assert _stored(tmp_path)[:, 0].tolist() == [row[0] for row in _bars(30)]


def test_import_twice_equals_import_once(tmp_path):
    """Appending the same file again changes no byte; a longer one adds; a corrected one wins and is told."""
    _ingest(tmp_path, _bars(30))
    path = archive.candle_folder(tmp_path / "home", "perp", BAR) / "BTCUSDT.parquet"
    before = (path.read_bytes(), path.stat().st_mtime_ns)

    assert _ingest(tmp_path, _bars(30)).stored == 30
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before

    assert _ingest(tmp_path, _bars(15, first=T0 + 25 * BAR, price=50.0)).stored == 40
    report = _ingest(tmp_path, _with(_bars(30), 0, 6, 1.0))
    assert report.count("replaced_stored") == 6
    assert "2025-07-01T00:00:00Z was stored with other values" in report.issues[7].example


def test_the_report_names_every_kind_and_is_one_document(tmp_path):
    """Each kind that is looked for has a count and an outcome, also at 0."""
    document = _ingest(tmp_path, _bars(12)).to_json()

    assert {issue["kind"]: issue["outcome"] for issue in document["issues"]} == dict(OUTCOMES)
    assert (document["from"], document["bar"]) == ("2025-07-01T00:00:00Z", "30m")
    assert document["symbols"]["BTCUSDT"]["rows"] == 12


def _csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "in.csv"
    path.write_text(text)
    return path


_HEADER = "timestamp,symbol,open,high,low,close,volume\n"
_BAD_CSV = {
    "lacks the column close ": "timestamp,symbol,open,high,low,volume\n1751328000,BTC,1,1,1,1\n",
    "row 2, column high: 'abc' is not a number": _HEADER + "1751328000,B,1,1,1,1,1\n1751329800,B,1,abc,1,1,1\n",
    "row 1, column timestamp: 'soon' is no time": _HEADER + "soon,B,1,1,1,1,1\n",
    "write all rows in one unit": _HEADER + "1751328000,B,1,1,1,1,1\n1751329800000,B,1,1,1,1,1\n",
    "holds no rows": _HEADER,
    "is empty": "",
    "cannot be read": _HEADER + "1,2\n",
    "has the column 'close' more than once": "timestamp,symbol,open,high,low,close,close,volume\n1,B,1,1,1,1,1,1\n",
    "holds no usable candle (missing_value in 1 rows": _HEADER + "1751328000,,1,1,1,1,1\n",
}


@pytest.mark.parametrize("sentence", _BAD_CSV)
def test_a_bad_csv_is_refused_in_one_sentence(tmp_path, sentence):
    """The message names the file, where it is wrong, and what to do; nothing is stored."""
    path = _csv(tmp_path, _BAD_CSV[sentence])

    with pytest.raises(DataError) as caught:
        archive.ingest(path, BAR, tmp_path / "home", "perp")

    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert archive.datasets(tmp_path / "home") == ()


def test_files_that_are_none_are_refused(tmp_path):
    """Missing, a folder, a wrong suffix, bytes that are no Parquet."""
    (tmp_path / "x.xlsx").write_bytes(b"x")
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    for path, words in [
        (tmp_path / "none.parquet", "does not exist"),
        (tmp_path, "is no file"),
        (tmp_path / "x.xlsx", "ends in '.xlsx'"),
        (tmp_path / "x.parquet", "cannot be read"),
    ]:
        with pytest.raises(DataError, match=words):
            archive.ingest(path, BAR, tmp_path / "home", "perp")


def test_text_in_a_price_of_a_parquet_is_refused(tmp_path):
    """A column of text is read as numbers only if all of it is."""
    table = _table(_bars(3)).set_column(5, "close", pa.array(["101", "1O1", "101"]))

    with pytest.raises(DataError, match="row 2, column close: '1O1' is not a number"):
        archive.ingest(_write(tmp_path / "in.parquet", table), BAR, tmp_path / "home", "perp")


@pytest.mark.parametrize(("bar_s", "words"), [(3600, "--bar"), (900, "rows are 30m apart, not 15m")])
def test_the_wrong_bar_is_refused(tmp_path, bar_s, words):
    """A 30 m file declared as 1 h or 15 m is a mistake of the user, not a file of gaps."""
    path = _write(tmp_path / "in.parquet", _table(_bars(100)))

    with pytest.raises(DataError, match=words):
        archive.ingest(path, bar_s, tmp_path / "home", "perp")


@pytest.mark.parametrize("source", ["../up", "Perp", ""])
def test_a_source_is_a_plain_word(tmp_path, source):
    """No name leads out of the archive."""
    with pytest.raises(DataError, match="no name for a source"):
        archive.ingest(_write(tmp_path / "in.parquet", _table(_bars(3))), BAR, tmp_path / "home", source)


def test_a_symbol_cannot_leave_the_folder(tmp_path):
    """Odd symbols are spelled safely in file names and come back as they were."""
    rows = _bars(3, "../../BTC/USDT") + _bars(3, "币安人生USDT")
    _ingest(tmp_path, rows)

    assert set(archive.spans(tmp_path / "home", "perp", BAR)) == {"../../BTC/USDT", "币安人生USDT"}
    assert len(list((tmp_path / "home").rglob("*.parquet"))) == 2


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path, monkeypatch):
    """ENOSPC at the file seam (planted at fsync): the old rows stay, no temporary file is left."""
    _ingest(tmp_path, _bars(5))

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evenkeel.archive.files.os.fsync", full)
    with pytest.raises(EvenkeelError, match="No space left on device"):
        _ingest(tmp_path, _bars(9))

    monkeypatch.undo()
    assert len(_stored(tmp_path)) == 5
    assert not list((tmp_path / "home").rglob("*.tmp"))


def test_check_tells_a_damaged_file_and_an_empty_archive(tmp_path):
    """A file that was cut is named with its way out; nothing stored is `not ready`."""
    with pytest.raises(NotReadyError, match="data import"):
        archive.check(tmp_path / "home", "perp", BAR)
    _ingest(tmp_path, _bars(30))
    path = archive.candle_folder(tmp_path / "home", "perp", BAR) / "BTCUSDT.parquet"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(DataError, match="remove it and import or download it again"):
        archive.check(tmp_path / "home", "perp", BAR)


def test_the_real_file_imports_whole(tmp_path):
    """66 assets, 928,363 rows, none dropped; the crash of 2025-10-10 21:00 is among the jumps."""
    if not PERP.exists():
        pytest.skip(f"real data absent: {PERP}")

    report = archive.ingest(PERP, BAR, tmp_path, "binance_perp")

    assert (report.assets, report.rows, report.kept, report.stored) == (66, 928_363, 928_363, 928_363)
    jumps = next(issue for issue in report.issues if issue.kind == "jump")
    assert any("2025-10-10T21:00:00Z" in text for text in jumps.listed)
    assert archive.datasets(tmp_path)[0].rows == archive.check(tmp_path, "binance_perp", BAR).rows == 928_363
