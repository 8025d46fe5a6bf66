"""Readers of settled contracts: what was known at the time, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evenkeel.archive import contracts
from evenkeel.errors import DataError, UsageError
from evenkeel.events.fair import Lognormal
from evenkeel.research.kalshi import games, ladders, quarters, settled, source
from evenkeel.research.kalshi.fit_ensemble import Settings
from research import kalshi_files as files


def changed(path, change):
    change(pd.read_parquet(path)).to_parquet(path)


def same(one, two):
    return all(
        np.array_equal(getattr(one, name), getattr(two, name), equal_nan=getattr(one, name).dtype.kind == "f")
        for name in one.__dataclass_fields__
    )


def test_a_game_is_entered_at_noon_in_new_york_on_both_sides_of_the_clock_change(tmp_path):
    """16:00 UTC in October, 17:00 UTC in November, by the candle that ended then."""
    found = games.read(*files.games(tmp_path, count=80))
    hours = pd.to_datetime(found.time, unit="s", utc=True)

    assert set(hours[hours < "2025-11-02"].hour) == {16}
    assert set(hours[hours > "2025-11-03"].hour) == {17}
    assert found.judged.all()
    assert (np.abs(found.mid - 0.5) <= 0.4 + 1e-9).all()


def test_neither_close_times_nor_later_candles_change_an_entry(tmp_path):
    candles, markets = files.games(tmp_path, count=40)
    before = games.read(candles, markets)

    noon = dict(zip(before.ticker.tolist(), before.time.tolist(), strict=True))
    changed(markets, lambda frame: frame.assign(close_time=frame["close_time"] + pd.Timedelta(days=9)))
    frame = pd.read_parquet(candles)
    moments = [(stamp.timestamp(), noon[ticker]) for stamp, ticker in frame[["timestamp", "ticker"]].to_numpy()]
    later = np.array([at >= entry for at, entry in moments])
    frame.loc[later, ["yes_bid", "yes_ask"]] = [0.4, 0.6]
    frame.to_parquet(candles)

    assert later.sum() == 240
    assert same(games.read(candles, markets), before)


def test_a_game_without_that_candle_has_no_quote(tmp_path):
    candles, markets = files.games(tmp_path, count=40)
    first = games.read(candles, markets)
    gone = first.time[0] - 3600
    frame = pd.read_parquet(candles)
    frame[frame["timestamp"] != pd.Timestamp(gone, unit="s", tz="UTC")].to_parquet(candles)

    found = games.read(candles, markets)

    assert np.isnan(found.bid).sum() == (first.time == first.time[0]).sum() == 4
    assert not found.judged[np.isnan(found.bid)].any()


def test_stamps_of_writing_are_not_read(tmp_path):
    """`timestamp` and `close_time` of 15-minute rows may say anything; the ticker's close is New York's."""
    path = files.quarters(tmp_path, markets=20)
    before = quarters.read(path)

    changed(path, lambda frame: frame.drop(columns=["timestamp", "close_time"]))

    assert same(quarters.read(path).quotes, before.quotes)
    assert pd.to_datetime(before.quotes.close.min(), unit="s") == pd.Timestamp("2026-08-15 10:00")
    assert before.quotes.left.max() == pytest.approx(810, abs=1)
    assert before.quotes.left.min() > 0


def test_a_stand_in_for_an_unknown_spot_is_unknown(tmp_path):
    found = quarters.read(files.quarters(tmp_path, markets=20))

    assert np.isnan(found.column("f_spot_ratio")).all()
    assert quarters.kept(found) == (
        ("f_spread", "f_time_norm", "f_trade_rate"),
        ("f_spot_ratio", "f_spot_edge", "f_tape"),
    )


@pytest.mark.parametrize("empty", [0.0, 1.0, np.nan])
def test_an_empty_side_is_no_quote(empty):
    assert np.isnan(settled.quotes(np.array([empty, 0.4]), "bid")).tolist() == [True, False]


def test_prices_are_judged_on_narrow_two_sided_quotes_in_time_whose_end_is_known():
    """A spread of 0.10 at most, more than 90 s to the close, an outcome: the borders and what lies beyond them."""
    rows = [
        (0.40, 0.50, 91, 1.0), (0.40, 0.51, 91, 1.0), (np.nan, 0.50, 91, 1.0), (0.40, np.nan, 91, 0.0),
        (0.50, 0.50, 91, 1.0), (0.40, 0.50, 90, 1.0), (0.40, 0.50, 91, np.nan), (0.01, 0.02, 3_600, 0.0),
    ]  # fmt: skip
    bid, ask, left, outcome = np.array(rows).T
    word, time = np.array(["KXBTC"] * len(rows)), np.full(len(rows), 1_000_000)
    found = settled.Settled(word, word, word, word, time, time + left.astype(np.int64), bid, ask, outcome)

    assert found.judged.tolist() == [True, False, False, False, False, False, False, True]


def test_cents_and_other_words_are_refused(tmp_path):
    with pytest.raises(DataError, match="is it in cents"):
        settled.quotes(np.array([0.4, 44.0]), "yes_ask")
    with pytest.raises(DataError, match="only yes and no"):
        settled.outcomes(np.array(["yes", "void"]))


@pytest.mark.parametrize(
    ("column", "made", "words"),
    [
        ("yes_bid", "0.44", "numbers are expected"),
        ("captured_at", "2026-07-03", "times without a gap are expected"),
        ("captured_at", pd.NaT, "times without a gap are expected"),
        ("result", 1.0, "words are expected"),
    ],
)  # fmt: skip
def test_a_column_of_another_type_is_refused(tmp_path, column, made, words):
    path = files.ladders(tmp_path, hours=12)
    changed(path, lambda frame: frame.assign(**{column: made}))

    with pytest.raises(DataError, match=words):
        ladders.read(path)


def test_games_that_nobody_quoted_are_refused(tmp_path):
    candles, markets = files.games(tmp_path, count=40)
    changed(candles, lambda frame: frame.assign(ticker="KXNBAGAME-OTHER-HOM"))

    with pytest.raises(DataError, match="0 settled events can be judged"):
        source.read(candles, markets).study(None, 7, Settings())


def test_volatility_knows_no_later_spot(tmp_path):
    path = files.ladders(tmp_path, hours=30)
    before = ladders.read(path)
    frame = pd.read_parquet(path)
    half = frame["captured_at"].unique()[14]
    frame.loc[frame["captured_at"] > half, "spot_price"] *= 1.5
    frame.to_parquet(path)

    after = ladders.read(path)

    assert after.volatility[:15] == before.volatility[:15]
    assert after.volatility[20].sigma > 3 * before.volatility[20].sigma
    assert np.isfinite([one.sigma for one in before.volatility[9:]]).all()


def test_a_result_that_its_strikes_deny_is_refused(tmp_path):
    path = files.ladders(tmp_path, hours=12)
    ladders.read(path)
    changed(path, lambda frame: frame.assign(expiration_value=frame["expiration_value"] * 1.2))

    with pytest.raises(DataError, match="strikes say otherwise"):
        ladders.read(path)


def test_what_was_collected_is_read_as_it_was_seen(tmp_path):
    """Boards and ends of the archive, joined: the same quotes, sizes and outcomes; without an end, none."""
    frame = pd.read_parquet(files.ladders(tmp_path, hours=30))
    frame = frame[frame["strike_type"] == "greater"].assign(series="KXBTCD", bid_size=3.0, ask_size=None, no_bid=None)
    frame["event_ticker"] = frame["event_ticker"].str.replace("KXBTC", "KXBTCD")
    frame = frame.assign(no_ask=None, open_time=frame["captured_at"]).astype(object).where(frame.notna(), None)
    for time, rows in frame.groupby("captured_at"):
        contracts.keep_board(tmp_path, "KXBTCD", int(time.timestamp()), rows.to_dict("records"))
    ends = frame.assign(settled_at=frame["close_time"]).iloc[:-1]
    contracts.keep_results(tmp_path, "KXBTCD", ends.to_dict("records"))
    path, rows, settled_ = contracts.joined(tmp_path, "KXBTCD")

    found = source.read(path, None)

    assert (found.part, rows, settled_) == ("lognormal", 30, 29)
    assert np.isfinite(found.quotes.outcome).tolist() == [True] * 29 + [False]
    assert [one.contracts[0].bid_size for _, one, _ in found.content.boards()] == [
        3 if np.isfinite(bid) else 0 for bid in found.quotes.bid]  # fmt: skip
    assert {one.contracts[0].ask_size for _, one, _ in found.content.boards()} == {0}
    assert not any(one.contracts[0].exclusive for _, one, _ in found.content.boards())


def test_thresholds_are_judged_beside_ranges(tmp_path):
    """A file with both kinds of ladder: what is above a higher strike is never likelier; each series has its skill."""
    found = source.read(files.thresholds(tmp_path, hours=40), None)
    captures = found.content
    fair = captures.fair(Lognormal())
    told = found.study(None, 7, Settings())
    rows = [rows for rows, board, _ in captures.boards() if not board.contracts[0].exclusive]

    assert len(rows) == 40
    assert np.isfinite(fair).sum() > 300
    for one in rows:
        p = fair[one][np.argsort(captures.floor[one])]
        assert np.all(np.diff(p[np.isfinite(p)]) <= 1e-12)
    assert sorted(one.series for one in told.judgement.worth) == ["KXBTC", "KXBTCD"]


def test_a_few_hours_of_ladders_say_nothing(tmp_path):
    """Volatility needs eight returns, and what is left is too little."""
    with pytest.raises(DataError, match="settled events can be judged, 10 are needed"):
        source.read(files.ladders(tmp_path, hours=14), None).study(None, 7, Settings())


def test_a_file_says_what_it_is(tmp_path):
    candles, markets = files.games(tmp_path, count=40)

    assert source.read(files.ladders(tmp_path, hours=12), None).part == "lognormal"
    assert source.read(files.quarters(tmp_path), None).part == "ensemble"
    assert source.read(candles, markets).part == "calibration"
    with pytest.raises(UsageError, match="--results"):
        source.read(candles, None)
    with pytest.raises(UsageError, match="leave it out"):
        source.read(files.quarters(tmp_path), markets)
    with pytest.raises(DataError, match="none of hourly ladders"):
        source.read(markets, None)
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        source.read(tmp_path / "text.parquet", None)
