"""A report's input from a synthetic market: for tests, and to see the page without a run. Nothing of it is a result."""

from __future__ import annotations

import numpy as np

from evenkeel.metrics import paired
from evenkeel.research import significance
from evenkeel.research.report.data import Contributions, Costs, Curve, Forecast, Labels, ReportData, Traded
from evenkeel.types import Array
from evenkeel.units import DAY_S, HOUR_S, utc

_COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "DOT", "LTC", "NEAR", "UNI", "PEPE", "SUI", "TRX")


def example(seed: int = 1, *, days: int = 720, name: str = "evenkeel") -> ReportData:
    """A plausible run of `days` days against four baselines, every section filled."""
    rng = np.random.default_rng(seed)
    steps = days * 4
    time = utc("2023-01-01") + 6 * HOUR_S * np.arange(steps + 1, dtype=np.int64)
    calm = np.exp(0.5 * np.cumsum(rng.standard_normal(steps)) / np.sqrt(np.arange(steps) + 40))
    market = 0.0003 + 0.012 * calm * rng.standard_t(5, steps) / 1.3
    market = np.clip(market, -0.12, 0.12)
    own = _curve(time, 0.00012 + 0.55 * market + 0.0030 * rng.standard_normal(steps))
    baselines = {
        "buy-and-hold BTC": _curve(time, market),
        "equal weight": _curve(time, 0.9 * market - 0.00018 + 0.005 * rng.standard_normal(steps)),
        "inverse volatility": _curve(time, 0.7 * market - 0.0002 + 0.003 * rng.standard_normal(steps)),
        "7-day momentum": _curve(time, 0.8 * market - 0.0003 + 0.006 * rng.standard_normal(steps)),
    }
    found = tuple(
        significance.verdict(key, *paired(own, curve)[1:], rng, trials=105, variance=0.0012)
        for key, curve in baselines.items()
    )
    return ReportData(
        title=f"Example: {name} over a synthetic market",
        command="evenkeel report --example",
        config_digest=f"{seed:08x}" * 8,
        created=utc("2026-11-21"),
        name=name,
        strategy=own,
        baselines=baselines,
        verdicts=found,
        overfit=significance.overfitting(0.01 * rng.standard_normal((days, 20))),
        families=("alpha", "review"),
        costs=_costs(own),
        doubled=_curve(time, np.diff(own[1]) / own[1][:-1] - 0.00006),
        traded=_traded(own, rng),
        contributions=_contributions(own, rng),
        forecasts=tuple(_forecast(horizon, level, days, rng) for horizon, level in (("6 h", 0.03), ("24 h", 0.045))),
        regimes=Labels(time, (*(_label(value) for value in np.convolve(market, np.ones(120) / 120, "same")), "chop")),
        variants={
            f"without {part}": _curve(time, np.diff(own[1]) / own[1][:-1] - cost + 0.001 * rng.standard_normal(steps))
            for part, cost in (("alpha", 0.00008), ("policy", 0.00001), ("edge", 0.0), ("overlay", 0.00004))
        },
        facts={"data": "synthetic, drawn from a seed", "seed": str(seed)},
    )


def _curve(time: np.ndarray[tuple[int, ...], np.dtype[np.int64]], steps: Array) -> Curve:
    return time, 10_000.0 * np.cumprod(np.concatenate([[1.0], 1.0 + steps]))


def _costs(own: Curve) -> Costs:
    gained = float(own[1][-1] - own[1][0])
    return Costs(gross=gained + 2_140.0, fees=1_320.0, slippage=820.0)


def _traded(own: Curve, rng: np.random.Generator) -> Traded:
    days = np.arange(own[0][0], own[0][-1], DAY_S, dtype=np.int64)
    return Traded(days, 900.0 * rng.gamma(2.0, 1.0, len(days)))


def _contributions(own: Curve, rng: np.random.Generator) -> Contributions:
    total = float(own[1][-1] - own[1][0]) + 2_140.0
    share = rng.standard_normal(len(_COINS)) + 0.4
    usd = total * share / share.sum()
    asset = {coin: float(value) for coin, value in zip(_COINS, usd, strict=True)}
    tier = {"tier 1": float(usd[:4].sum()), "tier 2": float(usd[4:11].sum()), "tier 3": float(usd[11:].sum())}
    cut = {"base (inverse vol)": 0.72, "alpha": 0.31, "policy": -0.02, "edge": 0.03, "risk rules": -0.10}
    opinion = {key: total * part for key, part in cut.items()}
    opinion["bands, gates, drift"] = total - sum(opinion.values())
    return Contributions(tier, asset, opinion)


def _forecast(horizon: str, level: float, days: int, rng: np.random.Generator) -> Forecast:
    time = utc("2023-01-01") + 6 * HOUR_S * np.arange(days * 4, dtype=np.int64)
    ic = level + 0.16 * rng.standard_normal(len(time))
    return Forecast(horizon, time, ic, ic + 0.01 + 0.03 * rng.standard_normal(len(time)), 2.4)


def _label(drift: float) -> str:
    return "trend" if drift > 0.0012 else "down" if drift < -0.0012 else "chop"
