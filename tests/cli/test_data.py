"""data: import, list, check, resample, download against a loopback exchange."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cli.fitted import candles
from evenkeel.signals import alpha
from evenkeel.units import iso, utc

HEAD = "timestamp,symbol,open,high,low,close,volume"
START = utc("2025-07-01")


def _csv(path: Path, skip: int = -1, price: str = "") -> Path:
    rows = [
        f"{iso(START + 1800 * n)},BTCUSDT,{price or 100 + n},{102 + n},{99 + n},{101 + n},5"
        for n in range(48)
        if n != skip
    ]
    path.write_text("\n".join([HEAD, *rows]) + "\n")
    return path


def test_import_ls_check_and_resample(run, tmp_path):
    home = tmp_path / "home"
    report = run(home, "data", "import", str(_csv(tmp_path / "My Bars.csv")), "--bar", "30m", "--json").json
    listed = run(home, "data", "ls", "--json").json["datasets"]
    checked = run(home, "data", "check", "--json")
    hourly = run(home, "data", "resample", "--source", "my_bars", "--bar", "30m", "--to", "1h", "--json").json

    assert (report["source"], report["assets"], report["rows"]) == ("my_bars", 1, 48)
    assert [(one["source"], one["bar"], one["rows"]) for one in listed] == [("my_bars", "30m", 48)]
    assert checked.code == 0
    assert checked.json["reports"][0]["assets"] == 1
    assert (hourly["bar"], hourly["rows"]) == ("1h", 24)


def test_a_gap_is_kept_and_told(run, tmp_path):
    report = run(tmp_path, "data", "import", str(_csv(tmp_path / "gap.csv", skip=9)), "--bar", "30m", "--json").json

    assert report["symbols"]["BTCUSDT"]["gaps"] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("import", "none.csv", "--bar", "30m"),
        ("import", "text.csv", "--bar", "30m"),
        ("import", "good.csv", "--bar", "often"),
        ("import", "good.csv", "--bar", "1h"),
        ("download", "--since", "soon"),
        ("download", "--since", "2030-01-01"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_2(run, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    _csv(Path("good.csv"))
    _csv(Path("text.csv"), price="cheap")

    said = run(tmp_path / "home", "data", *words)

    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


def test_nothing_stored_is_not_ready(run, tmp_path):
    assert run(tmp_path, "data", "check").code == 3
    assert run(tmp_path, "data", "ls").code == 0


def test_download_from_a_loopback_exchange_resumes(run, tmp_path):
    name = "evenkeel_test_binance_server_cli"
    spec = spec_from_file_location(name, Path(__file__).parents[1] / "venues" / "binance_server.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = binance = module_from_spec(spec)
    spec.loader.exec_module(binance)
    words = ("--since", "2025-07-01", "--until", "2025-07-03", "--symbols", "BTCUSDT,NONE", "--bar", "30m", "--json")

    with binance.BinanceServer(now=float(utc("2025-07-10")), listed={"BTCUSDT": 0}) as server:
        first = run(tmp_path, "data", "download", *words, "--host", server.url)
        again = run(tmp_path, "data", "download", *words, "--host", server.url)

    assert first.code == 0, first.err
    assert (first.json["rows"], first.json["assets"]) == (96, 1)
    assert list(first.json["skipped"]) == ["NONE"]
    assert again.json["rows"] == 0


# ---------------------------------------------------------------- build


@pytest.fixture(scope="module")
def hours(tmp_path_factory):
    """Sixty days of ten assets, the last ten of them held out."""
    folder = tmp_path_factory.mktemp("candles")
    return candles(folder / "hours.parquet", 60, start=utc("2025-07-01") - 50 * 86_400)


def test_build_writes_what_is_learned_from(run, hours, tmp_path):
    out = tmp_path / "set.parquet"

    said = run(tmp_path / "home", "data", "build", "--data", str(hours), "--out", str(out), "--json")

    table = pq.read_table(out)
    assert said.code == 0, said.err
    assert table.column_names == ["time", "asset", *alpha.NAMES, "r_6h_next", "r_24h_next"]
    assert (said.json["rows"], said.json["indicators"], said.json["data"]["held_out"]) == (table.num_rows, None, 240)
    assert max(table["time"].to_pylist()) <= utc("2025-07-01")
    assert not (tmp_path / "set_indicators.parquet").exists()
    assert not (tmp_path / "home").exists()


def test_build_writes_indicators_beside_it_and_the_holdout_only_by_leave(run, hours, tmp_path):
    out = tmp_path / "set.parquet"
    words = ("data", "build", "--data", str(hours), "--out", str(out), "--indicators", "--holdout")

    told = run(tmp_path, *words)

    table = pq.read_table(tmp_path / "set_indicators.parquet")
    assert told.code == 0, told.err
    assert {"open", "volume", "sma_20", "ema_20", "rsi_14", "macd", "bb_high", "atr_14"} < set(table.column_names)
    assert table.num_rows == 60 * 24 * 10
    assert max(table["time"].to_pylist()) == utc("2025-07-11")
    assert "data build on hours.parquet" in (tmp_path / "models" / "holdout.log").read_text()
    assert f"14400 candles with indicators in {tmp_path / 'set_indicators.parquet'}" in told.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--data", "none.parquet", "--out", "x.parquet"), 2, "does not exist"),
        (("--data", "none.parquet", "--out", "x.csv"), 2, "--out x.csv"),
        (("--data", "none.parquet", "--out", "nowhere/x.parquet"), 2, "a folder that exists"),
        (("--data", "short.parquet", "--out", "x.parquet"), 3, "too little history"),
    ],
    ids=["data", "kind", "folder", "short"],
)
def test_what_cannot_be_built_is_one_sentence(run, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    candles(tmp_path / "short.parquet", 5)

    done = run(tmp_path, "data", "build", *words)

    assert done.code == code
    assert done.err.startswith("evenkeel: ")
    assert done.err.count("\n") == 1
    assert said in done.err
    assert not (tmp_path / "x.parquet").exists()
