"""The edge as a user meets it: measured, kept, run with, explained, and taken out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Run
from evenkeel import artifacts
from evenkeel.signals.crowd import COINS

MARKET = (
    "--config", "config/demo.yaml", "--set", "feed.bar=1h", "--set", "universe.only=[BTC,ETH,LINK,UNI]",
    "--set", "synthetic.boards=true", "--set", "synthetic.crowd_knows=0.3", "--set", "history.days=40",
    "--set", "universe.stocks=false",
)  # fmt: skip
BEFORE = ("--set", "clock.from=2025-06-20", "--set", "clock.to=2025-06-25")
WINDOW = ("--set", "clock.from=2025-07-01", "--set", "clock.to=2025-07-02")


@pytest.fixture(scope="module")
def _measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("measured")


@pytest.fixture
def home(_measured: Path, run: Run) -> Path:
    """A home in which the embedded crowd's skill was measured on the days before, and a day was run."""
    if not (_measured / "state").exists():
        assert run(_measured, "evaluate", "edge", *MARKET, *BEFORE, "--keep", "--json").json["weight"] > 0.5
        assert run(_measured, "run", *MARKET, *WINDOW, "--json").code == 0
    return _measured


def test_why_shows_the_opinion_with_the_contracts_behind_it(run: Run, home: Path) -> None:
    """An asset that Kalshi does not list is judged by BTC's ladder and its correlation, and says so."""
    link, page = run(home, "why", "LINK", "--json").json, " ".join(run(home, "why", "BTC").out.split())
    edge = link["edge"]

    assert link["opinions"]["edge"]["health"] == "ok"
    assert edge["coin"] == "BTC"
    assert edge["event"].startswith("KXBTCD-")
    assert link["opinions"]["edge"]["value"] == pytest.approx(edge["correlation"] * edge["drift"])
    assert all(0 < c["bid"] < c["ask"] < 1 for c in edge["contracts"])
    even = min(edge["contracts"], key=lambda c: abs(c["bid"] + c["ask"] - 1))
    assert edge["event"] in page
    assert f"drift {edge['drift']:+.3f}" in page
    assert "implied volatility" in page
    assert f"{even['ticker'].rpartition('-')[2]} {even['bid']:g}/{even['ask']:g}" in page


def test_a_recorded_run_with_the_edge_is_decided_again_bit_for_bit(run: Run, home: Path) -> None:
    """Readings are part of what parity compares; without the measurement it ends."""
    assert run(home, "parity", "--from-journal", "--json").json["identical"] is True

    pointer = home / "models" / "edge" / "CURRENT"
    pointer.rename(pointer.with_name("away"))
    try:
        ended = run(home, "parity", "--from-journal")
    finally:
        pointer.with_name("away").rename(pointer)

    assert ended.code == 4
    assert "opinions.edge" in ended.err


def test_the_journal_keeps_implied_volatility_of_every_pass(home: Path) -> None:
    """And why the coins that are not there say nothing."""
    from evenkeel.journal import recent

    rows = recent(home / "state" / "journal.db", "edge", limit=10**6)

    assert {row["asset"] for row in rows} == set(COINS)
    assert len(rows) == 24 * len(COINS)
    read = [row for row in rows if not row["reason"]]
    assert len(read) > 40
    assert all(0.05 < row["vol"] < 5 for row in read)
    assert {row["reason"] for row in rows if row["asset"] == "SOL"} == {"NO_LADDER"}


def test_the_edge_measured_elsewhere_weighs_nothing_and_is_shown(run: Run, tmp_path: Path) -> None:
    """What is shipped was measured on Kalshi, so it says nothing about the embedded crowd."""
    said = run(tmp_path, "why", "BTC", *MARKET, *WINDOW, "--json").json["opinions"]["edge"]

    assert said["health"] == "off"
    assert "measured on Kalshi" in said["reason"]
    assert "value" in said


def test_measuring_nothing_is_one_sentence(run: Run, tmp_path: Path) -> None:
    """Another feed, another file, too few days."""
    other = run(tmp_path, "evaluate", "edge")
    none = run(tmp_path, "evaluate", "edge", "--data", "pyproject.toml")
    short = run(tmp_path, "evaluate", "edge", *MARKET, *WINDOW)

    assert (other.code, none.code, short.code) == (2, 2, 2)
    assert "give --data FILE" in other.err
    assert "cannot be read as Parquet" in none.err
    assert "30 are needed" in short.err
    assert all(one.err.count("\n") == 1 for one in (other, none, short))


def test_the_shipped_bundle_is_listed_with_what_it_weighs_and_verified(run: Run, tmp_path: Path) -> None:
    """Nothing: and a bundle whose skill cannot be read is said to be bad."""
    listed = run(tmp_path, "models", "ls", "--json").json["models"]
    sound = run(tmp_path, "models", "verify", "edge")
    artifacts.write(
        tmp_path / "models", "edge", "v9", {"expires": 1, "skill": {"ic": 0.1, "ic_t": 3}}, {"CARD.md": b"x"}
    )
    wrong = run(tmp_path, "models", "verify", "edge", "v9")

    assert next(one["strength"] for one in listed if one["kind"] == "edge") == {"its ladders": 0.0}
    assert (sound.code, wrong.code) == (0, 1)
    assert "is no edge bundle" in wrong.err
