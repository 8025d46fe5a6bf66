"""Labels come from the next bar's open and say what a plain twin says; an asset counts only while it is there."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenkeel.errors import DataError, NotReadyError
from evenkeel.market import panel as panels
from evenkeel.research import dataset
from evenkeel.signals import alpha
from evenkeel.types import Pair

HOUR, DAY = 3600, 86_400
ANNUAL = math.sqrt(365.25 * 24)


def changed(market, **fields):
    given = {name: getattr(market, name) for name in ("open", "high", "low", "close", "volume")}
    return panels.panel(market.time, market.assets, bar_s=market.bar_s, **(given | fields))


def holed(market):
    """SOL is listed late, XRP ends early, ETH misses some opens."""
    fields = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for array in fields.values():
        array[: 40 * 24, 2] = np.nan
        array[60 * 24 :, 3] = np.nan
    fields["open"][50 * 24 : 51 * 24 : 3, 1] = np.nan
    return changed(market, **fields)


def plain_rank(values):
    """Average ranks in [-0.5, 0.5] of a list, None = left out."""
    known = [v for v in values if v is not None]
    out = []
    for v in values:
        if v is None:
            out.append(math.nan)
            continue
        less, same = sum(w < v for w in known), sum(w == v for w in known)
        out.append((less + (same - 1) / 2) / (len(known) - 1) - 0.5 if len(known) > 1 else 0.0)
    return out


@pytest.mark.parametrize("horizon", [6, 24])
def test_labels_equal_their_plain_twin(market, horizon):
    data = dataset.build(holed(market), step_h=6, min_history_days=7.0)
    opened = holed(market).open
    wanted = {kind: np.full(data.member.shape, np.nan) for kind in dataset.LABELS}
    for d, time in enumerate(data.time):
        t = int((time - market.time[0]) // HOUR)
        returns = []
        for n in range(len(data.assets)):
            inside = t + 1 + horizon < len(opened)
            value = opened[t + 1 + horizon, n] / opened[t + 1, n] - 1.0 if inside else math.nan
            returns.append(value if data.member[d, n] and math.isfinite(value) else None)
        known = [r for r in returns if r is not None]
        if len(known) < 3:
            continue
        mean = sum(known) / len(known)
        sd = [data.vol[d, n] / ANNUAL * math.sqrt(horizon) for n in range(len(returns))]
        rows = {
            "raw": [math.nan if r is None else r for r in returns],
            "demeaned": [math.nan if r is None else r - mean for r in returns],
            "rank": plain_rank(returns),
            "rank_vol": plain_rank([None if r is None else (r - mean) / s for r, s in zip(returns, sd, strict=True)]),
        }
        for kind, row in rows.items():
            wanted[kind][d] = row

    for kind, twin in wanted.items():
        found = dataset.label(data, horizon, kind)
        assert np.isfinite(found).sum() > 1000
        np.testing.assert_allclose(found, twin, rtol=0, atol=1e-12)


def test_a_label_reads_only_opens_after_the_decision(market):
    data = dataset.build(market, step_h=6)
    t = 70 * 24 - 1
    fields = {name: getattr(market, name).copy() for name in ("open", "high", "low", "close", "volume")}
    fields["open"][: t + 1] *= 1.1

    again = dataset.forward_returns(changed(market, **fields), 24)

    d = int(np.searchsorted(data.time, market.time[t]))
    np.testing.assert_array_equal(again[t], data.returns[24][d])


def test_an_asset_counts_from_enough_history_to_its_last_bar(market):
    data = dataset.build(holed(market), step_h=6, min_history_days=14.0)

    days = (data.time - market.time[0] + HOUR) / DAY
    assert days[data.member[:, 2]].min() >= 40 + 14
    assert days[data.member[:, 2]].min() < 40 + 15
    assert days[data.member[:, 3]].max() <= 60
    assert days[data.member[:, 0]].min() >= 14


def test_decisions_lie_on_a_grid_that_does_not_depend_on_the_start(market):
    whole = dataset.build(market, step_h=5)
    later = dataset.build(panels.rows(market, 7, len(market.time)), step_h=5)

    assert (whole.time % (5 * HOUR) == 0).all()
    assert set(later.time) <= set(whole.time)


def test_inputs_are_the_features_of_that_bar(market):
    data = dataset.build(market, step_h=6)
    from evenkeel.market import features

    wide = features.compute(market)
    d, n = 250, 4
    t = panels.index_of(market, int(data.time[d]))
    wanted = np.concatenate([wide.values[t, n], wide.market[t]]).astype(np.float32)

    np.testing.assert_array_equal(data.x[d, n], wanted)
    assert data.names == alpha.NAMES


def test_a_universe_of_one_is_refused(market):
    with pytest.raises(DataError, match="1 assets cannot be ordered"):
        dataset.build(panels.pick(market, ["BTC"]))


def test_a_horizon_longer_than_the_data_is_refused(market):
    with pytest.raises(DataError, match="do not fit"):
        dataset.build(market, horizons_h=(6, 5000))


def test_too_little_history_is_refused(market):
    with pytest.raises(NotReadyError, match="too little history"):
        dataset.build(panels.rows(market, 0, 24 * 10))


def test_a_step_off_the_bars_is_refused(market):
    with pytest.raises(DataError, match="step of 0 h"):
        dataset.build(market, step_h=0)


def test_an_input_that_is_never_known_is_named(market):
    silent = changed(market, volume=np.full_like(market.volume, np.nan))

    with pytest.raises(DataError, match=r"volz, liq, amihud, dvchg unknown in every row"):
        dataset.refuse_blind(dataset.build(silent, step_h=6))


def test_an_unknown_label_is_refused(data):
    with pytest.raises(DataError, match="take one of rank_vol"):
        dataset.label(data, 6, "profit")


def test_parquet_holds_what_counts(data, tmp_path):
    rows = dataset.write(data, tmp_path / "set.parquet")

    table = pq.read_table(tmp_path / "set.parquet")
    assert rows == table.num_rows == data.member.sum()
    assert table.column_names == ["time", "asset", *alpha.NAMES, "r_6h_next", "r_24h_next"]
    first = np.argwhere(data.member)[0]
    assert table["asset"][0].as_py() == data.assets[first[1]]
    assert table["r_24h_next"][0].as_py() == data.returns[24][tuple(first)]


def test_a_strangers_file_becomes_a_panel(tmp_path):
    time = 1_735_689_600 + HOUR * np.arange(30)
    symbols = ["1000PEPEUSDT", "BTCUSDT", "NEWUSDT"]
    table = {
        "timestamp": np.tile(time, 3),
        "symbol": np.repeat(symbols, 30),
        **{name: np.repeat([2.0, 60_000.0, 5.0], 30) for name in ("open", "high", "low", "close")},
        "volume": np.full(90, 10.0),
    }
    pq.write_table(pa.table(table), tmp_path / "candles.parquet")
    pairs = [
        Pair(a, f"{a}/USD", 1, 2, 2, 1, symbols=s)
        for a, s in (
            ("BTC", {"binance": ("BTCUSDT", 1)}),
            ("ETH", {}),
            ("PEPE", {"perp": ("1000PEPEUSDT", 1000)}),
        )
    ]

    found = dataset.read_panel(tmp_path / "candles.parquet", pairs)

    assert found.assets == ("BTC", "PEPE", "NEW")
    assert found.bar_s == HOUR
    assert found.close[0].tolist() == [60_000.0, 0.002, 5.0]
    assert found.volume[0].tolist() == [10.0, 10_000.0, 10.0]
    with pytest.raises(DataError, match="no usable"):
        dataset.read_panel(tmp_path / "candles.parquet", pairs, bar_s=7 * HOUR + 1)


def test_members_without_volatility_have_no_scaled_label(data):
    silent = replace(data, vol=np.where(np.arange(len(data.assets)) == 0, 0.0, data.vol))

    assert np.isnan(dataset.label(silent, 6, "rank_vol")[:, 0]).all()
