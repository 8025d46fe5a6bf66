"""Features: the `ta` library and slow plain Python say the same, and NaN, zero and constants mean what they should."""

import math
import statistics

import numpy as np
import pandas as pd
import pytest
import ta

from evenkeel.errors import DataError
from evenkeel.market import features, kernels, windows
from evenkeel.market.features import FEATURES, compute, digest, warmup_bars
from evenkeel.market.kernels import decay_of, window_of, window_weights
from evenkeel.market.panel import panel, resample

START = 1_699_833_600  # Monday 2023-11-13T00:00Z
ANNUAL = math.sqrt(365.25 * 24)
BARS = 1_400


def make(bars=BARS, assets=("BTC", "ETH", "SOL"), bar_s=3600, seed=7, first=None, **changes):
    """Build a seeded random walk with a common factor; `changes` replace whole fields."""
    rng = np.random.default_rng(seed)
    shape = (bars, len(assets))
    step = 0.006 * rng.standard_normal((bars, 1)) + 0.004 * rng.standard_normal(shape)
    close = 50.0 * np.exp(np.cumsum(step, axis=0))
    wick = np.abs(0.003 * rng.standard_normal((2, *shape)))
    given = {
        "time": (START + bar_s if first is None else first) + bar_s * np.arange(bars),
        "open": close,
        "high": close * (1 + wick[0]),
        "low": close * (1 - wick[1]),
        "close": close,
        "volume": rng.lognormal(6.0, 1.0, shape),
    }
    return panel(assets=assets, bar_s=bar_s, **(given | changes))


def broken(market):
    """Return the same panel with a hole, scattered gaps and hours without trade."""
    rng = np.random.default_rng(11)
    close, volume = market.close.copy(), market.volume.copy()
    close[600:640, 1] = np.nan
    close[rng.random(close.shape) < 0.02] = np.nan
    volume[rng.random(close.shape) < 0.02] = 0.0
    volume[rng.random(close.shape) < 0.01] = np.nan
    fields = {"open": market.open, "high": market.high, "low": market.low, "close": close, "volume": volume}
    return panel(market.time, market.assets, bar_s=market.bar_s, **fields)


def ewm(x, decay):
    """Return the exponential mean (H, C) of hours (H, C)."""
    columns = np.ascontiguousarray(x.T)
    windows.mean(columns, *window_weights(window_of(decay), decay), 0, columns)
    return columns.T


def true_range(market):
    """Return the true range (H, C) of hourly bars."""
    high, low, close = (np.ascontiguousarray(x.T) for x in (market.high, market.low, market.close))
    windows.true_range(high, low, close, high)
    return high.T


@pytest.fixture(scope="module")
def market():
    """A whole hourly market."""
    return make()


@pytest.fixture(scope="module")
def whole(market):
    """Hold all features of the whole market."""
    return compute(market)


@pytest.fixture(scope="module")
def gappy(market):
    """A market with holes."""
    return broken(market)


@pytest.fixture(scope="module")
def holed(gappy):
    """Hold all features of the market with holes."""
    return compute(gappy)


# ---------------------------------------------------------------- the table


def test_the_table_holds_every_feature_of_the_design():
    """Names, order and count are what models are fitted on."""
    names = [x.name for x in FEATURES]

    assert " ".join(names) == (
        "r_1 r_3 r_6 r_24 r_72 r_168 r_336 r_720 vol emaz_12 emaz_72 rsi bb atr dd volz liq amihud dvchg beta ivol "
        "resmom_24 resmom_168"
    )
    assert " ".join(x.name for x in features.MARKET_FEATURES) == (
        "mkt_r24 btc_r24 btc_r168 btc_vol dispersion breadth hour weekday"
    )
    assert all(x.doc for x in FEATURES)


def test_shapes_and_columns_agree_with_names(market, whole):
    """(R, N, F) and (R, G), read-only, found by name."""
    assert whole.values.shape == (BARS, 3, len(FEATURES))
    assert whole.market.shape == (BARS, 8)
    assert not whole.values.flags.writeable
    assert not whole.market.flags.writeable
    assert np.array_equal(whole.column("r_3"), whole.values[:, :, 1], equal_nan=True)
    assert np.isfinite(whole.values[-1]).all()
    with pytest.raises(DataError, match="no feature momentum"):
        whole.column("momentum")


def test_warm_up_grows_with_the_bars_of_an_hour():
    """958 hours: the exponential volatility's cut window, plus the return's first price."""
    assert warmup_bars(3600) == 958
    assert warmup_bars(900) == 4 * 958
    assert all(x.warmup_h <= 958 for x in FEATURES)


def test_recursive_kernels_declare_the_warm_up_of_the_design():
    """At least ln(1e6) / -ln(1 - a)."""
    for keys in ({"half_life": 48}, {"span": 12}, {"span": 72}, {"wilder": 14}):
        decay = decay_of(**keys)
        assert kernels.window_of(decay) >= math.log(1e6) / -math.log(decay)


def test_the_digest_follows_the_table(monkeypatch):
    """A change of version, order or names changes it; nothing else does."""
    first = digest()
    monkeypatch.setattr(features, "FEATURES", FEATURES[::-1])
    turned = digest()
    monkeypatch.setattr(features, "FEATURES", FEATURES)
    monkeypatch.setattr(features, "VERSION", features.VERSION + 1)

    assert len({first, turned, digest()}) == 3
    monkeypatch.undo()
    assert digest() == first


@pytest.mark.parametrize("bar_s", [7200, 2400 + 1, 86_400])
def test_bars_that_do_not_divide_the_hour_are_refused(bar_s):
    """Horizons are whole hours."""
    with pytest.raises(DataError, match="divide the hour"):
        compute(make(bars=5, bar_s=bar_s, first=bar_s))


def test_a_missing_benchmark_and_a_row_outside_are_refused(market):
    """A required input has no neutral default."""
    with pytest.raises(DataError, match="no XMR"):
        compute(market, benchmark="XMR")
    for row in (-1, BARS):
        with pytest.raises(DataError, match="first_row"):
            compute(market, first_row=row)


def test_a_panel_shorter_than_an_hour_is_all_unknown():
    """Three quarter-hours hold no trailing hour, and yet have rows."""
    short = compute(make(bars=3, bar_s=900, first=START + 900))

    assert short.values.shape[0] == 3
    assert np.isnan(short.values).all()
    assert np.isfinite(short.market[:, -2:]).all()


# ---------------------------------------------------------------- ta as oracle


def test_rsi_is_that_of_ta_as_a_fraction(market, whole):
    """`ta` starts its recursion at the first bar; after one cut window (187 h) both agree to the cut weight, 1e-6."""
    for j in range(3):
        theirs = ta.momentum.RSIIndicator(pd.Series(market.close[:, j]), window=14).rsi().to_numpy() / 100.0
        np.testing.assert_allclose(whole.column("rsi")[200:, j], theirs[200:], atol=5e-6)


def test_bollinger_position_is_that_of_ta(market, whole):
    """No recursion: equal from the first full window on."""
    for j in range(3):
        bands = ta.volatility.BollingerBands(pd.Series(market.close[:, j]), window=20, window_dev=2)
        np.testing.assert_allclose(whole.column("bb")[19:, j], bands.bollinger_pband().to_numpy()[19:], atol=1e-9)


def test_atr_averages_the_true_range_of_ta(market, whole):
    """The design's ATR is a plain mean of 24 h over the close; `ta` supplies the true range."""
    for j in range(3):
        high, low, close = (pd.Series(x[:, j]) for x in (market.high, market.low, market.close))
        ranges = ta.utils.IndicatorMixin._true_range(high, low, close.shift(1))
        theirs = (ranges.rolling(24).mean() / close).to_numpy()
        np.testing.assert_allclose(whole.column("atr")[24:, j], theirs[24:], rtol=1e-10)


def test_wilder_smoothing_of_the_true_range_converges_to_the_atr_of_ta(market):
    """`ta` starts from a mean of the first window; the start is forgotten after 14 ln(1e6) hours."""
    ours = ewm(true_range(market), decay_of(wilder=14))
    for j in range(3):
        high, low, close = (pd.Series(x[:, j]) for x in (market.high, market.low, market.close))
        theirs = ta.volatility.AverageTrueRange(high, low, close, window=14).average_true_range().to_numpy()
        np.testing.assert_allclose(ours[250:, j], theirs[250:], rtol=1e-5)


@pytest.mark.parametrize("span", [12, 72])
def test_ema_converges_to_that_of_ta(market, span):
    """`ta` gives the first value the whole weight; afterwards the two are one."""
    price = np.log(market.close)
    ours = ewm(price, decay_of(span=span))
    for j in range(3):
        theirs = ta.trend.EMAIndicator(pd.Series(price[:, j]), window=span).ema_indicator().to_numpy()
        np.testing.assert_allclose(ours[600:, j], theirs[600:], atol=3e-6)


def test_the_two_ema_distances_differ_by_the_macd_of_ta(market, whole):
    """(p - EMA_72) - (p - EMA_12) = EMA_12 - EMA_72, the MACD line of log prices."""
    vol = whole.column("vol") / ANNUAL
    slow, fast = (whole.column(f"emaz_{s}") * vol * math.sqrt(s) for s in (72, 12))
    for j in range(3):
        line = ta.trend.MACD(pd.Series(np.log(market.close[:, j])), window_slow=72, window_fast=12).macd().to_numpy()
        np.testing.assert_allclose((slow - fast)[600:, j], line[600:], atol=5e-6)


def test_vol_is_the_exponential_mean_square_of_pandas(market, whole):
    """Half-life 48 h about zero, annualised with 365.25 days."""
    for j in range(3):
        squares = pd.Series(np.log(market.close[:, j])).diff() ** 2
        theirs = np.sqrt(squares.ewm(halflife=48).mean()).to_numpy() * ANNUAL
        np.testing.assert_allclose(whole.column("vol")[100:, j], theirs[100:], rtol=1e-5)


# ---------------------------------------------------------------- slow twins in plain Python, on a market with holes

ROWS = (730, 800, 955, 1200, BARS - 1)


def series(market, j):
    """Return closes, hourly returns and dollar volumes of one asset as lists; None = unknown."""
    close = [None if math.isnan(c) else c for c in market.close[:, j].tolist()]
    pairs = zip([None, *close[:-1]], close, strict=True)
    ret = [None if a is None or b is None else math.log(b) - math.log(a) for a, b in pairs]
    volumes = market.volume[:, j].tolist()
    dollars = [None if c is None or math.isnan(v) else c * v for c, v in zip(close, volumes, strict=True)]
    return close, ret, dollars


def known(values, t, window):
    """Return the known values of the window that ends at t; None if fewer than 75 %."""
    some = [x for x in values[max(0, t - window + 1) : t + 1] if x is not None]
    return some if len(some) >= 0.75 * window else None


def mean(values, t, window):
    """Mean of the known values, or None."""
    some = known(values, t, window)
    return None if some is None else statistics.fmean(some)


def check(holed, market, name, twin):
    """Compare a feature with its twin (close, ret, dollars, base ret, t) -> value or None, at ROWS, all assets."""
    compared = 0
    _, base, _ = series(market, 0)
    for j in range(3):
        close, ret, dollars = series(market, j)
        for t in ROWS:
            ours = holed.column(name)[t, j]
            theirs = None if close[t] is None else twin(close, ret, dollars, base, t)
            if theirs is None:
                assert math.isnan(ours)
            else:
                compared += 1
                assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    assert compared >= 10


def slope_and_rest(ret, base, t):
    """Least squares in plain sums: slope, population sd of the residual."""
    pairs = [(x, y) for x, y in zip(base[t - 335 : t + 1], ret[t - 335 : t + 1], strict=True) if None not in (x, y)]
    slope, intercept = statistics.linear_regression(*zip(*pairs, strict=True))
    return slope, math.sqrt(statistics.fmean((y - intercept - slope * x) ** 2 for x, y in pairs))


def hourly_vol(ret, t):
    """Exponentially weighted root mean square over the cut window."""
    weights = [(0.5 ** (i / 48), ret[t - i]) for i in range(min(957, t + 1)) if ret[t - i] is not None]
    return math.sqrt(sum(w * r * r for w, r in weights) / sum(w for w, _ in weights))


def test_beta_is_the_least_squares_slope(holed, gappy):
    """Over the hours of 336 in which both returns are known."""
    check(holed, gappy, "beta", lambda c, r, d, b, t: slope_and_rest(r, b, t)[0])


def test_ivol_is_the_residual_sd_annualised(holed, gappy):
    """Population sd about the fitted line; the benchmark's own is exactly 0."""
    assert np.nanmax(holed.column("ivol")[:, 0]) == 0.0
    assert np.nanmin(holed.column("beta")[:, 0]) == np.nanmax(holed.column("beta")[:, 0]) == 1.0
    check(holed, gappy, "ivol", lambda c, r, d, b, t: slope_and_rest(r, b, t)[1] * ANNUAL)


@pytest.mark.parametrize("hours", [24, 168])
def test_residual_momentum_is_what_the_benchmark_does_not_explain(holed, gappy, hours):
    """Own return less beta times the benchmark's, in units of own risk over the horizon."""
    btc, _, _ = series(gappy, 0)

    def twin(close, ret, dollars, base, t):
        if None in (close[t - hours], btc[t], btc[t - hours]):
            return None
        own, explained = math.log(close[t] / close[t - hours]), math.log(btc[t] / btc[t - hours])
        return (own - slope_and_rest(ret, base, t)[0] * explained) / (hourly_vol(ret, t) * math.sqrt(hours))

    check(holed, gappy, f"resmom_{hours}", twin)


def test_vol_twin(holed, gappy):
    """Unknown returns have no weight."""
    check(holed, gappy, "vol", lambda c, r, d, b, t: hourly_vol(r, t) * ANNUAL)


def test_amihud_is_the_log_mean_move_per_dollar(holed, gappy):
    """Hours without trade tell nothing and are left out."""

    def twin(close, ret, dollars, base, t):
        moves = [abs(r) / d if r is not None and d else None for r, d in zip(ret, dollars, strict=True)]
        impact = mean(moves, t, 168)
        return None if impact is None else math.log(impact)

    check(holed, gappy, "amihud", twin)


def test_volz_is_the_z_score_of_six_hour_log_volume(holed, gappy):
    """The 6 h mean against its own last 168 values."""

    def twin(close, ret, dollars, base, t):
        logs = [math.log(d) if d else None for d in dollars]
        short = [mean(logs, i, 6) for i in range(t + 1)]
        some = known(short, t, 168)
        if short[t] is None or some is None:
            return None
        return (short[t] - statistics.fmean(some)) / statistics.pstdev(some)

    check(holed, gappy, "volz", twin)


def test_dd_is_the_distance_from_the_weeks_high(holed, gappy):
    """In logs, never above 0."""
    assert np.nanmax(holed.column("dd")) <= 0.0

    def twin(close, ret, dollars, base, t):
        some = known(close, t, 168)
        return None if some is None else math.log(close[t] / max(some))

    check(holed, gappy, "dd", twin)


def test_liq_is_the_log_median_of_thirty_days(holed, gappy):
    """Trailing days, 24 h apart, back from the row itself."""

    def twin(close, ret, dollars, base, t):
        days = [mean(dollars, t - 24 * i, 24) for i in range(30)]
        return math.log(statistics.median(24 * x for x in days if x is not None))

    check(holed, gappy, "liq", twin)


def test_dvchg_is_the_last_day_against_the_month(holed, gappy):
    """Mean hourly dollars over 24 h and 720 h."""
    check(holed, gappy, "dvchg", lambda c, r, d, b, t: math.log(mean(d, t, 24) / mean(d, t, 720)))


def test_returns_are_differences_of_log_prices(market, whole):
    """Unknown for the first k hours, exact afterwards."""
    price = np.log(market.close)
    for k in (1, 3, 6, 24, 72, 168, 336, 720):
        column = whole.column(f"r_{k}")
        assert np.isnan(column[:k]).all()
        assert (column[k:] == price[k:] - price[:-k]).all()


# ---------------------------------------------------------------- the market


def test_market_features_are_cross_sections_of_columns(market, whole):
    """Means, spreads and shares over the known assets; the benchmark's own columns."""
    r24, trend = whole.column("r_24"), whole.column("emaz_72")

    np.testing.assert_allclose(whole.market_column("mkt_r24")[24:], r24[24:].mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(whole.market_column("dispersion")[24:], r24[24:].std(axis=1), rtol=1e-12)
    np.testing.assert_allclose(whole.market_column("breadth")[100:], (trend[100:] > 0).mean(axis=1))
    for name, own in (("btc_r24", "r_24"), ("btc_r168", "r_168"), ("btc_vol", "vol")):
        assert np.array_equal(whole.market_column(name), whole.column(own)[:, 0], equal_nan=True)


def test_hour_and_weekday_are_those_of_the_close_in_utc():
    """A Monday's bars close from 00:30; Sunday is 6."""
    times = compute(make(bars=2 * 24 * 7, bar_s=1800, first=START + 1800))

    assert times.market_column("hour")[:3].tolist() == [0.5, 1.0, 1.5]
    assert times.market_column("hour")[47] == 0.0
    assert times.market_column("weekday")[0] == 0.0
    assert times.market_column("weekday")[48 * 6] == 6.0


def test_one_known_asset_has_no_dispersion():
    """A spread needs two."""
    alone = compute(make(bars=60, assets=("BTC",)))

    assert np.isnan(alone.market_column("dispersion")).all()
    assert np.isfinite(alone.market_column("mkt_r24")[24:]).all()


# ---------------------------------------------------------------- unknown, zero, constant


def test_a_late_listing_is_unknown_before_it_and_wakes_with_its_windows(market):
    """Returns after k hours, volatility after two half-lives, beta after 75 % of its window; others do not notice."""
    close, listed = market.close.copy(), 400
    close[:listed, 2] = np.nan
    late, on_time = compute(make(close=close)), compute(market)

    assert np.isnan(late.values[:listed, 2]).all()
    first = {x.name: int(np.argmax(np.isfinite(late.column(x.name)[:, 2]))) - listed for x in FEATURES}
    assert (first["r_1"], first["r_24"], first["vol"], first["beta"]) == (1, 24, 96, 252)
    assert np.array_equal(late.values[:, :2], on_time.values[:, :2], equal_nan=True)


def test_a_gap_is_unknown_and_then_forgotten(market):
    """After a 100 h gap everything is known again, and one warm-up later nothing remembers it."""
    market = make(bars=BARS + 300)
    close = market.close.copy()
    close[500:600, 1] = np.nan
    holed, unbroken = compute(make(bars=BARS + 300, close=close)), compute(market)

    assert np.isnan(holed.values[500:600, 1]).all()
    assert np.isfinite(holed.values[1400:, 1]).all()
    np.testing.assert_allclose(holed.values[600 + 958 :], unbroken.values[600 + 958 :], rtol=1e-9, atol=1e-12)


def test_a_constant_price_has_no_risk_and_no_place_in_it():
    """Vol is 0, drawdown is 0, whatever divides by them is NaN, whatever reads volume goes on."""
    close = make().close.copy()
    close[:, 1] = 3.3
    flat = compute(make(close=close, high=close, low=close))
    last = dict(zip(flat.names, flat.values[-1, 1], strict=True))

    assert last["vol"] == last["dd"] == last["r_720"] == last["atr"] == last["beta"] == last["ivol"] == 0.0
    for name in ("emaz_12", "emaz_72", "rsi", "bb", "resmom_24", "resmom_168", "amihud"):
        assert math.isnan(last[name])
    assert all(math.isfinite(last[name]) for name in ("volz", "liq", "dvchg"))


def test_a_price_that_stops_moving_reaches_exactly_zero_vol():
    """Windows are finite: nothing lingers."""
    close = make().close.copy()
    close[300:, 1] = close[300, 1]
    stopped = compute(make(close=close))

    assert stopped.column("vol")[300 + 956, 1] > 0.0
    assert stopped.column("vol")[300 + 957, 1] == 0.0
    assert math.isnan(stopped.column("rsi")[300 + 187, 1])


def test_no_volume_is_unknown_liquidity_not_minus_infinity():
    """Log 0 is NaN; prices go on."""
    volume = make().volume.copy()
    volume[:, 1] = 0.0
    silent = compute(make(volume=volume))
    last = dict(zip(silent.names, silent.values[-1, 1], strict=True))

    assert all(math.isnan(last[name]) for name in ("volz", "liq", "amihud", "dvchg"))
    assert all(math.isfinite(last[name]) for name in ("vol", "rsi", "beta", "resmom_168"))
    assert not np.isinf(silent.values).any()


def test_constant_dollar_volume_has_no_z_score():
    """Rounding noise is not variation."""
    flat = compute(make(volume=1e7 / make().close))

    assert np.isnan(flat.column("volz")).all()
    assert np.nanmax(np.abs(flat.column("dvchg"))) < 1e-12


@pytest.mark.parametrize("price", [0.0, -1.0, np.inf, -np.inf])
def test_a_price_that_is_no_price_is_unknown(price):
    """The row is NaN and no infinity reaches any window."""
    close = make().close.copy()
    close[900, 1] = price
    odd = compute(make(close=close))

    assert np.isnan(odd.values[900, 1]).all()
    assert not np.isinf(odd.values).any()
    assert np.isfinite(odd.values[-1]).all()


def test_a_silent_benchmark_blinds_only_what_is_measured_against_it():
    """Beta, ivol and residual momentum are NaN; the rest is known."""
    close = make().close.copy()
    close[:, 0] = 100.0
    blind = compute(make(close=close))
    last = dict(zip(blind.names, blind.values[-1, 1], strict=True))

    unknown = {name for name, value in last.items() if math.isnan(value)}
    assert unknown == {"beta", "ivol", "resmom_24", "resmom_168"}


def test_an_outlier_is_forgotten_completely():
    """A dollar volume of 1e30 leaves no trace once it has left the windows."""
    volume = make().volume.copy()
    volume[100, 1] = 1e30
    odd, sane = compute(make(volume=volume)), compute(make())

    np.testing.assert_allclose(odd.values[-1], sane.values[-1], rtol=1e-12)


def test_half_hour_bars_between_full_hours_are_an_hourly_series_of_their_own():
    """Rows at :30 equal the features of hourly bars that close at :30."""
    halves = make(bars=2_400, bar_s=1800, first=START + 1800)
    shifted = panel(
        halves.time + 1800,
        halves.assets,
        *(getattr(halves, name) for name in ("open", "high", "low", "close", "volume")),
        bar_s=1800,
    )
    hourly = compute(resample(shifted, 3600))

    assert np.array_equal(compute(halves).values[2::2], hourly.values, equal_nan=True)
