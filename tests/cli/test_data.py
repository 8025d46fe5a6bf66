"""data: import, list, check, resample, download against a loopback exchange."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

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
