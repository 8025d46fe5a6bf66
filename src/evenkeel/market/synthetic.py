"""What would a crypto market look like here? Seed, pairs, period -> Panel, without a network.

A common factor (regimes, volatility clustering, fat tails, jumps, one crash per period), one factor per tier and
each coin's own noise make 15-minute bars; coarser bars are aggregated from them, so all bar sizes see one world.

The law: the world is anchored at `settings.epoch`, and every random number derives from (seed, name, day). A bar
therefore has the same bits whatever period is asked for, and whichever other assets are asked for beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Final

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from evenkeel.errors import ConfigError
from evenkeel.types import Array, Pair, Panel, frozen
from evenkeel.units import DAY_S, HOUR_S, YEAR_S, Key, iso

STEP_S: Final = 900
DAY_STEPS: Final = DAY_S // STEP_S
HOUR_STEPS: Final = HOUR_S // STEP_S
_ROOT_STEP: Final = (STEP_S / YEAR_S) ** 0.5  # annual volatility -> volatility of one step
_TAIL: Final = 4.0  # degrees of freedom of Student's t
_MARKET_VOL: Final = 0.38
_SECTOR_VOL: Final = 0.15
_RECOVERED: Final = 0.85
_DOLLARS: Final = {1: 1e9, 2: 5e7, 3: 5e6}
_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME = range(5)


@dataclass(frozen=True, slots=True)
class SyntheticSettings:
    """The embedded market: two equal settings are the same world, bit for bit."""

    seed: Annotated[int, Ge(0), Key("which world; every random number derives from it")] = 7
    epoch: Annotated[int, Ge(0), Key("day on which the world begins; nothing exists before it", "UTC")] = 1_735_689_600
    vol_scale: Annotated[float, Ge(0), Le(5), Key("multiplies all volatility and jump sizes", "factor")] = 1.0
    crash_depth: Annotated[
        float, Ge(0), Le(0.6), Key("typical fall of the market in a crash; others by their beta", "fraction")
    ] = 0.12
    crash_every: Annotated[int, Ge(2), Le(3_650), Key("one crash and recovery begins in each such period", "d")] = 10
    jump_rate: Annotated[float, Ge(0), Le(10), Key("sudden moves of the market, and of each coin", "1/d")] = 0.08
    gap_rate: Annotated[float, Ge(0), Le(10), Key("outages of a coin: 15 min to 2 h without bars", "1/d")] = 0.01
    late_asset: Annotated[str, Key("asset that is listed late; empty = none")] = "ASTER"
    late_day: Annotated[int, Ge(0), Key("first day on which it trades, counted from the epoch", "d")] = 43
    gone_asset: Annotated[str, Key("asset that is delisted; empty = none")] = "OMNI"
    gone_day: Annotated[int, Ge(0), Key("first day on which it trades no more, counted from the epoch", "d")] = 47
    boards: Annotated[bool, Key("whether event contracts are quoted there, for the edge opinion")] = False
    crowd_knows: Annotated[
        float, Ge(0), Le(1), Key("part of the next hour's move that the crowd on event contracts knows", "fraction")
    ] = 0.0


@dataclass(frozen=True, slots=True)
class _Traits:
    """What stays the same about an asset: first price (USD), beta, sector load, own vol (annual), USD per day."""

    price: float
    beta: float
    sector: float
    vol: float
    dollars: float


@dataclass(frozen=True, slots=True)
class _Noise:
    """One name's random numbers, all (steps,) but `vol` (hours,): unit-variance t, normals, uniforms in [0, 1)."""

    shock: Array
    gap: Array
    traded: Array
    jump: Array
    high: Array
    low: Array
    jumps: Array
    hole: Array
    length: Array
    vol: Array


@dataclass(frozen=True, slots=True)
class _Factor:
    """A common driver: log returns, their standard deviation and the heat (vol multiplier), each (steps,)."""

    move: Array
    sd: Array
    heat: Array


# price USD, beta, sector load, own annual vol, USD traded per day
_KNOWN: Final = {
    "BTC": _Traits(60_000.0, 1.0, 0.0, 0.10, 2e10),
    "ETH": _Traits(2_500.0, 1.15, 0.6, 0.35, 1e10),
    "SOL": _Traits(150.0, 1.3, 0.8, 0.50, 3e9),
    "XRP": _Traits(0.60, 1.0, 0.8, 0.55, 2e9),
    "BNB": _Traits(550.0, 0.85, 0.6, 0.30, 1.5e9),
    "DOGE": _Traits(0.15, 1.3, 0.9, 0.60, 1.5e9),
    "PAXG": _Traits(2_650.0, 0.05, 0.0, 0.15, 2e7),
}


def market(pairs: Sequence[Pair], start: int, end: int, bar_s: int, settings: SyntheticSettings) -> Panel:
    """The bars of `pairs` that lie wholly within [start, end].

    pairs   N pairs; order gives the columns, and nothing else depends on it or on who else is there
    start   UTC s, not before the epoch; the first bar opens at or after it
    end     UTC s; the last bar closes at or before it
    bar_s   bar length, s: a multiple of 900 that divides a day
    ->      Panel of T >= 0 bars; prices on the pair's grid; NaN = outage, not yet listed, or delisted
    """
    epoch = settings.epoch // DAY_S * DAY_S
    _check(pairs, start, epoch, bar_s)
    first, last = -(-(start - epoch) // bar_s), (end - epoch) // bar_s
    bars = max(last - first, 0)
    days = -(-max(last, 0) * bar_s // DAY_S)
    fields = np.full((5, bars, len(pairs)), np.nan)
    if bars:
        common = _market_factor(settings, days)
        sectors = {s: _sector_factor(settings, s, days, common.heat) for s in {_sector(p) for p in pairs}}
        for column, pair in enumerate(pairs):
            steps = _asset(pair, settings, days, common, sectors[_sector(pair)])
            fields[:, :, column] = _coarser(steps, bar_s // STEP_S)[:, first:last]
    time = epoch + bar_s * np.arange(first + 1, first + 1 + bars, dtype=np.int64)
    time.flags.writeable = False
    opened, high, low, close, volume = (frozen(field) for field in fields)
    return Panel(time, tuple(p.asset for p in pairs), opened, high, low, close, volume, bar_s)


def _check(pairs: Sequence[Pair], start: int, epoch: int, bar_s: int) -> None:
    if bar_s <= 0 or bar_s % STEP_S or DAY_S % bar_s:
        raise ConfigError(f"bar of {bar_s} s: the embedded market has bars of 15m, 30m, 1h, 2h, ...; use one of them")
    if start < epoch:
        raise ConfigError(f"the embedded market begins at {iso(epoch)}, {iso(start)} is before: set synthetic.epoch")
    if len({p.asset for p in pairs}) != len(pairs):
        raise ConfigError("the universe names an asset twice: leave one")


def _sector(pair: Pair) -> str:
    return "stock" if pair.kind == "stock" else f"tier{pair.tier}"


# ---------------------------------------------------------------- randomness from (seed, stream, name, day)


def _days(seed: int, stream: str, name: str, days: int) -> Iterator[np.random.Generator]:
    digest = hashlib.blake2b(f"{seed}|{stream}|{name}".encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype=np.uint64)
    bits = np.random.Philox(key=key)
    generator = np.random.Generator(bits)
    for day in range(days):
        # moving the counter of one generator is ten times faster than making a generator per day
        bits.state = {
            "bit_generator": "Philox",
            "state": {"counter": np.array([0, 0, day, 0], dtype=np.uint64), "key": key},
            "buffer": np.zeros(4, dtype=np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }
        yield generator


def _uniforms(seed: int, stream: str, name: str, days: int, count: int) -> Array:
    return np.array([g.random(count) for g in _days(seed, stream, name, days)]).reshape(days, count)


def _noise(seed: int, name: str, days: int) -> _Noise:
    shock = np.empty((days, DAY_STEPS))
    normal = np.empty((days, 3, DAY_STEPS))
    uniform = np.empty((days, 5, DAY_STEPS))
    vol = np.empty((days, 24))
    for day, generator in enumerate(_days(seed, "noise", name, days)):
        generator.standard_normal(out=normal[day])
        generator.random(out=uniform[day])
        generator.standard_normal(out=vol[day])
        shock[day] = generator.standard_t(_TAIL, DAY_STEPS)
    shock *= ((_TAIL - 2) / _TAIL) ** 0.5
    gap, traded, jump = normal.transpose(1, 0, 2).reshape(3, -1)
    high, low, jumps, hole, length = uniform.transpose(1, 0, 2).reshape(5, -1)
    return _Noise(shock.ravel(), gap, traded, jump, high, low, jumps, hole, length, vol.ravel())


def _clustering(shocks: Array, half_life_h: float, sd: float) -> Array:
    """Volatility multiplier of mean square 1: exp of an AR(1), hourly (hours,) -> (steps,)."""
    keep = float(0.5 ** (1 / half_life_h))
    fresh = float((1 - keep**2) ** 0.5 * sd)
    levels = accumulate(shocks.tolist(), lambda level, shock: keep * level + fresh * shock, initial=0.0)
    log_vol = np.fromiter(levels, dtype=np.float64)[1:]
    return np.repeat(np.exp(log_vol - sd**2), HOUR_STEPS)


def _jumps(noise: _Noise, settings: SyntheticSettings, size: float) -> Array:
    """Log return of the rare jumps, (steps,), 0 where there is none."""
    happens = noise.jumps < settings.jump_rate / DAY_STEPS
    return np.where(happens, size * settings.vol_scale * noise.jump, 0.0)


# ---------------------------------------------------------------- the common part

# bull, chop, bear: annual drift, volatility multiplier, mean length in days, probabilities of what follows
_DRIFT: Final = (1.0, 0.0, -1.0)
_HEAT: Final = (0.85, 0.9, 1.35)
_LENGTH_D: Final = (8.0, 6.0, 4.0)
_NEXT: Final = ((0.0, 0.8, 0.2), (0.6, 0.0, 0.4), (0.35, 0.65, 0.0))


def _market_factor(settings: SyntheticSettings, days: int) -> _Factor:
    noise = _noise(settings.seed, "market", days)
    regime = _regimes(settings.seed, days)
    crash, fever = _crashes(settings, days)
    heat = np.array(_HEAT)[regime] * fever
    sd = _MARKET_VOL * _ROOT_STEP * settings.vol_scale * heat * _clustering(noise.vol, 36.0, 0.45)
    drift = np.array(_DRIFT)[regime] * (STEP_S / YEAR_S)
    return _Factor(drift + sd * noise.shock + _jumps(noise, settings, 0.015) + crash, sd, heat)


def _sector_factor(settings: SyntheticSettings, sector: str, days: int, heat: Array) -> _Factor:
    noise = _noise(settings.seed, f"sector {sector}", days)
    sd = _SECTOR_VOL * _ROOT_STEP * settings.vol_scale * heat * _clustering(noise.vol, 30.0, 0.3)
    return _Factor(sd * noise.shock, sd, heat)


def _regimes(seed: int, days: int) -> NDArray[np.int64]:
    """Markov chain over bull 0, chop 1, bear 2, hourly; (steps,). It begins in chop."""
    draws = _uniforms(seed, "regime", "market", days, 48).reshape(-1, 2).tolist()
    state, path = 1, []
    for leave, choose in draws:
        if leave < 1 / (24 * _LENGTH_D[state]):
            state = next(s for s in (0, 1, 2) if choose < sum(_NEXT[state][: s + 1]) or s == 2)
        path.append(state)
    return np.repeat(np.array(path, dtype=np.int64), HOUR_STEPS)


def _crashes(settings: SyntheticSettings, days: int) -> tuple[Array, Array]:
    """Crash and recovery: log return and volatility multiplier, each (steps,).

    One crash begins in the first 60 % of each period of `crash_every` days, falls for 4 h, fastest at first, and
    then wins back 85 % over the next 36 h; volatility triples and calms down with a half-life of 9 h.
    """
    steps, period = days * DAY_STEPS, settings.crash_every * DAY_STEPS
    fall, recovery = 16, 144
    shape = np.concatenate([-_shares(fall), np.full(recovery, _RECOVERED / recovery)])
    move, fever = np.zeros(steps + fall + recovery), np.ones(steps)
    for block, (when, how) in enumerate(_uniforms(settings.seed, "crash", "market", -(-steps // period), 2).tolist()):
        at = block * period + int((0.05 + 0.55 * when) * period)
        if at < steps:
            depth = settings.crash_depth * (0.7 + 0.6 * how)
            move[at : at + len(shape)] -= float(np.log1p(-depth)) * shape
            if depth > 0:
                fever[at:] += 2.0 * 0.5 ** (np.arange(steps - at) / 36)
    return move[:steps], fever


def _shares(count: int) -> Array:
    weights = [0.85**i for i in range(count)]
    return np.array(weights) / sum(weights)


# ---------------------------------------------------------------- one asset


def _traits(asset: str, kind: str, tier: int, decimals: int, seed: int) -> _Traits:
    if asset in _KNOWN:
        return _KNOWN[asset]
    beta, vol, price, dollars = _uniforms(seed, "traits", asset, 1, 4)[0].tolist()
    ticks = 10 ** (4.0 + price)  # five significant digits at first, so that four remain after a long fall
    per_day = _DOLLARS.get(tier, _DOLLARS[3]) * 4.0 ** (dollars - 0.5)
    if kind == "stock":
        return _Traits(ticks * 10.0**-decimals, 0.2 + 0.4 * beta, 1.0, 0.25 + 0.35 * vol, per_day)
    return _Traits(ticks * 10.0**-decimals, 0.8 + 0.8 * beta, 1.0, 0.45 + 0.4 * vol, per_day)


def _asset(pair: Pair, settings: SyntheticSettings, days: int, common: _Factor, sector: _Factor) -> Array:
    """Open, high, low, close, volume of one asset in 15-minute steps from the epoch on: (5, steps)."""
    traits = _traits(pair.asset, pair.kind, pair.tier, pair.price_decimals, settings.seed)
    noise = _noise(settings.seed, f"asset {pair.asset}", days)
    busy = common.heat**0.5 * _clustering(noise.vol, 20.0, 0.45)
    own = traits.vol * _ROOT_STEP * settings.vol_scale * busy
    move = traits.beta * common.move + traits.sector * sector.move
    move += own * noise.shock - 0.5 * own**2 + _jumps(noise, settings, 0.04)
    sd = np.sqrt((traits.beta * common.sd) ** 2 + (traits.sector * sector.sd) ** 2 + own**2)
    path = _path(move, sd, noise, float(np.log(traits.price)))
    grid = np.maximum(np.round(path, pair.price_decimals), 10.0**-pair.price_decimals)
    units = _dollars(traits, noise, busy * common.heat**0.5, days) / grid[_CLOSE]
    bars = np.concatenate([grid, np.round(units, pair.amount_decimals)[None]])
    bars[:, _absent(pair.asset, settings, noise)] = np.nan
    return bars


def _path(move: Array, sd: Array, noise: _Noise, start: float) -> Array:
    """Open, high, low, close (4, steps) in USD from log returns (steps,) and their sd.

    The open stands a hair off the last close; the extremes are those of a Brownian bridge from open to close.
    """
    close = start + np.cumsum(move)
    opened = np.concatenate([[start], close[:-1]]) + 0.05 * sd * noise.gap
    body = close - opened
    up = 0.5 * (body + np.sqrt(body**2 - 2.0 * sd**2 * np.log1p(-noise.high)))
    down = 0.5 * (body - np.sqrt(body**2 - 2.0 * sd**2 * np.log1p(-noise.low)))
    high = opened + np.maximum(up, np.maximum(body, 0.0))
    low = opened + np.minimum(down, np.minimum(body, 0.0))
    path: Array = np.exp(np.stack([opened, np.maximum(high, close), np.minimum(low, close), close]))
    return path


def _dollars(traits: _Traits, noise: _Noise, busy: Array, days: int) -> Array:
    """USD traded in each step: more in American hours, in lively times and on large moves; (steps,)."""
    hour = (np.arange(DAY_STEPS) + 0.5) / HOUR_STEPS
    season = np.tile(1.0 + 0.4 * np.cos(2 * np.pi * (hour - 16.0) / 24.0), days)
    liveliness = busy * (0.7 + 0.4 * np.abs(noise.shock)) * np.exp(0.4 * noise.traded - 0.08)
    dollars: Array = traits.dollars / DAY_STEPS * season * liveliness
    return dollars


def _absent(asset: str, settings: SyntheticSettings, noise: _Noise) -> NDArray[np.bool_]:
    """Steps without a bar: outages, before a late listing, after a delisting; (steps,)."""
    absent = np.zeros(len(noise.hole), dtype=np.bool_)
    for at in np.flatnonzero(noise.hole < settings.gap_rate / DAY_STEPS).tolist():
        absent[at : at + 1 + int(8 * noise.length[at])] = True
    if asset == settings.late_asset:
        absent[: settings.late_day * DAY_STEPS] = True
    if asset == settings.gone_asset:
        absent[settings.gone_day * DAY_STEPS :] = True
    return absent


def _coarser(steps: Array, factor: int) -> Array:
    """(5, steps) of 15 minutes -> (5, steps / factor); a bar with a missing part is missing."""
    if factor == 1:
        return steps
    parts = steps.reshape(5, -1, factor)
    bars = np.stack(
        [
            parts[_OPEN, :, 0],
            parts[_HIGH].max(axis=1),
            parts[_LOW].min(axis=1),
            parts[_CLOSE, :, -1],
            parts[_VOLUME].sum(axis=1),
        ]
    )
    bars[:, np.isnan(parts[_CLOSE]).any(axis=1)] = np.nan
    return bars
