"""The `alpha` opinion: what two LightGBM models expect of every asset against the others, 6 h and 24 h ahead.

`AlphaModel` is a verified bundle with its golden output replayed; `forecast` turns features into unit-scale x for all
rows or a cut of them. The law: row t reads rows of the last 48 h only, in an order fixed by absolute time, so it has
the same bits whether rows before or after are there (design section 7, laws 1 and 2). Rows that the model may have
seen in training are NaN unless asked for.

LightGBM fits the models and is not needed here: `trees` reads them, `forest` scores rows to the same bits. Its compiled
loops are loaded with a model, not before: a service without one does not pay for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from evenkeel import artifacts
from evenkeel.errors import ArtifactError
from evenkeel.market import features as market_features
from evenkeel.market.features import FEATURES, MARKET_FEATURES, Features
from evenkeel.market.kernels import window_mean
from evenkeel.signals import trees
from evenkeel.signals.blend import ShareByRegime, strength
from evenkeel.signals.rank import zscores
from evenkeel.types import Array, BoolArray, Health, IntArray, Opinion
from evenkeel.units import DAY_S, HOUR_S, iso

if TYPE_CHECKING:
    from evenkeel.signals.forest import Forest

KIND = "alpha"
NAMES: tuple[str, ...] = tuple(x.name for x in FEATURES) + tuple(x.name for x in MARKET_FEATURES)
"""What a model reads, in this order: per-asset features, then market-wide ones."""

CLOCK = ("hour", "weekday")
"""Read off the clock, they cannot drift: an hour between two that were sampled is nothing new."""

HALF_LIFE_H = 12
WINDOW_H = 48
"""What a smoothed row reads, h."""

IN_SAMPLE = "IN-SAMPLE"
GOLDEN = "golden.json"

Matrix = NDArray[np.float32]


class Forecast(NamedTuple):
    """x (R, N), and the factor in [0, 1] that it was shrunk by, (R, N)."""

    x: Array
    trust: Array


@dataclass(frozen=True, slots=True)
class AlphaModel:
    """A loaded bundle.

    forest     the models of all horizons · train_end  UTC s of the last decision that was trained on
    expires    UTC s, after which its weight decays to 0 over 24 h
    strength   expected 24 h return per unit of x and of 24 h volatility, from out-of-sample IC and t on the served bar
    """

    version: str
    digest: str
    forest: Forest
    train_end: int
    expires: int
    strength: float
    manifest: Mapping[str, Any]

    @property
    def longest_h(self) -> int:
        """The longest horizon, h."""
        return max(self.forest.horizons)

    def valid_from(self, bar_s: int) -> int:
        """First decision time, UTC s, that shares no price with a training label: train end + horizon + 1 bar."""
        return self.train_end + self.longest_h * HOUR_S + bar_s

    def freshness(self, time: int) -> float:
        """1 until it expires, then linearly down to 0 within 24 h."""
        return min(1.0, max(0.0, 1.0 - (time - self.expires) / DAY_S))


def load(path: Path, bar_s: int) -> AlphaModel:
    """The model in a bundle folder, for `bar_s` bars. Raises ArtifactError, in one sentence, if it is refused."""
    bundle = artifacts.load(path, KIND, features_digest=market_features.digest(), feature_names=NAMES, bar_s=bar_s)
    said = bundle.manifest
    try:
        horizons = [int(h) for h in said["horizons_h"]]
        models = forest({h: bundle.files[model_file(h)].decode() for h in horizons})
        evidence = said["evidence"][str(bar_s)]
        model = AlphaModel(
            version=bundle.version,
            digest=bundle.digest,
            forest=models,
            train_end=int(said["train"]["until"]),
            expires=int(said["expires"]),
            strength=strength(_number(evidence["ic"]), _number(evidence["ic_t"])),
            manifest=said,
        )
        golden = orjson.loads(bundle.files[GOLDEN])
        _replay(path, model, golden)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path} is no alpha bundle ({type(error).__name__} {error}): train a new version"
        ) from error
    return model


def begins(path: Path, bar_s: int) -> int:
    """First decision time, UTC s, of which a bundle may speak; asks its manifest only. Raises ArtifactError."""
    said = artifacts.read(path, KIND).manifest
    try:
        return int(said["train"]["until"]) + max(int(h) for h in said["horizons_h"]) * HOUR_S + bar_s
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path} is no alpha bundle ({type(error).__name__} {error}): train a new version"
        ) from error


def forest(texts: Mapping[int, str]) -> Forest:
    """The models of all horizons, h, of their LightGBM texts. Raises ArtifactError for a text that is none."""
    from evenkeel.signals.forest import forest as tables  # noqa: PLC0415 - loads numba, only where a model is used

    hulls = np.array([trees.hull(text, NAMES) for text in texts.values()])
    hull = np.stack([hulls[:, :, 0].max(axis=0), hulls[:, :, 1].min(axis=0)], axis=1)
    hull[[NAMES.index(name) for name in CLOCK]] = -np.inf, np.inf
    return tables({h: trees.read(text, NAMES) for h, text in texts.items()}, hull)


def model_file(horizon_h: int) -> str:
    """Name of the text file of one horizon's model."""
    return f"model_{horizon_h}h.txt"


def known_of(features: Features) -> BoolArray:
    """(R, N) where an asset can be judged: its volatility and its last day are known."""
    known: BoolArray = np.isfinite(features.column("vol")) & np.isfinite(features.column("r_24"))
    return known


def matrix(features: Features, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Matrix:
    """(n, F + G) float32 inputs of n (row, asset) pairs, in the order of `NAMES`."""
    split = len(features.names)
    out = np.empty((len(rows), split + len(features.market_names)), dtype=np.float32)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which a tree can judge
        out[:, :split] = features.values[rows, columns]
        out[:, split:] = features.market[rows]
    return out


def predict(models: Forest, features: Features) -> dict[int, Array]:
    """Every horizon's raw forecast, (R, N); NaN where an asset cannot be judged. A row has the same bits in any cut."""
    return models.score(features.values, features.market, known_of(features))


def scores(models: Forest, inputs: Matrix) -> dict[int, Array]:
    """(n, F + G) float32 -> every horizon's (n,) raw forecasts."""
    wide = inputs.astype(np.float64)[:, None, :]
    known = np.ones(wide.shape[:2], dtype=np.bool_)
    return {h: rows[:, 0] for h, rows in models.score(wide, np.empty((len(inputs), 0)), known).items()}


def combine(predicted: Mapping[int, Array], share: Array, time: IntArray, step_s: int) -> Array:
    """One opinion of several horizons, (R, N) in [-3, 3]: z of each within its row, mixed, smoothed, z again.

    predicted  horizon h -> (R, N); with one horizon it stands alone · share (R,) part of the shortest
    time, step_s  UTC s of the rows and between them, s: rows are smoothed with a half-life of 12 h over 48 h
    """
    shortest, longest = min(predicted), max(predicted)
    mixed = zscores(predicted[longest])
    if shortest != longest:
        part, short = share[:, None], zscores(predicted[shortest])
        short *= part
        mixed *= 1.0 - part
        mixed += short
    return zscores(smooth(mixed, time, step_s))


def smooth(x: Array, time: IntArray, step_s: int) -> Array:
    """Exponentially weighted mean of the known rows of the last 48 h, half-life 12 h; NaN only where x is NaN.

    Sums run in blocks of one window that begin at absolute times, so a row has the same bits wherever x begins, as
    long as its window is there.
    """
    if not len(x):
        return x
    window = max(1, WINDOW_H * HOUR_S // step_s)
    decay = float(0.5 ** (step_s / (HALF_LIFE_H * HOUR_S)))
    lead = int(time[0] // step_s) % window
    padded = np.concatenate([np.full((lead, x.shape[1]), np.nan), x]) if lead else x
    return window_mean(padded, window, decay)[lead:]


def forecast(
    models: Sequence[AlphaModel],
    features: Features,
    time: IntArray,
    regime: Array,
    bar_s: int,
    share: ShareByRegime,
    *,
    in_sample: bool = False,
) -> Forecast:
    """Opinion x of every row, (R, N) in [-3, 3]; NaN where it cannot be judged or may have been trained on.

    Where inputs drift away from what was learned x shrinks toward 0 (`Forest.trust`), asset by asset.

    models     in the order from which they are valid; each row is judged by the newest that is valid then
    features   R rows, of which the first 48 h only lead in (the caller cuts them), unless they are the panel's first
    time       (R,) UTC s of the bars' closes · regime (R, 6) probabilities · bar_s  s
    in_sample  the first model judges training rows too: such a back-test must say IN-SAMPLE
    """
    begins = [int(np.searchsorted(time, model.valid_from(bar_s))) for model in models]
    first = 0 if in_sample else begins[0]
    ends = [*begins[1:], len(time)]
    shown = [_cut(features, begin, end) for begin, end in zip([first, *begins[1:]], ends, strict=True)]
    raw = [predict(model.forest, rows) for model, rows in zip(models, shown, strict=True)]
    trust = _joined([m.forest.trust(rows.values, rows.market) for m, rows in zip(models, shown, strict=True)])
    whole = {h: _joined([rows[h] for rows in raw]) for h in models[0].forest.horizons}
    x = combine(whole, share.expected(regime[first:]), time[first:], bar_s)
    x *= trust
    lead = (first, trust.shape[1])
    return Forecast(_joined([np.full(lead, np.nan), x]), _joined([np.ones(lead), trust]))


def _joined(parts: Sequence[Array]) -> Array:
    """One after the other, (R, N); not copied where only one has rows."""
    some = [part for part in parts if len(part)]
    return some[0] if len(some) == 1 else np.concatenate(parts)


def _cut(features: Features, begin: int, end: int) -> Features:
    return Features(features.names, features.values[begin:end], features.market_names, features.market[begin:end])


def opinion(
    models: Sequence[AlphaModel], x: Array, time: int, bar_s: int, *, doubt: str = "", in_sample: bool = False
) -> Opinion:
    """What a decision at `time` (UTC s) is told: x (N,), the strength left to it, its health, and a `doubt` of x."""
    valid = [model for model in models if model.valid_from(bar_s) <= time]
    model = valid[-1] if valid else models[0]
    fresh = model.freshness(time)
    known, said = Health.OK, ""
    if fresh < 1.0:
        known = Health.OK if fresh > 0.0 else Health.EXPIRED
        said = f"expired at {iso(model.expires)}" + (f", {fresh:.0%} of its weight is left" if fresh > 0.0 else "")
    elif not valid and in_sample:
        said = f"{IN_SAMPLE}: trained on what is shown here, until {iso(model.train_end)}"
    elif not valid:
        known, said = Health.MISSING, f"trained on what is shown here, until {iso(model.train_end)}"
    said = "; ".join(word for word in (said, doubt) if word)
    return Opinion(KIND, x, known, model.strength * fresh, f"{model.version} {model.digest[:12]}", said)


def steady(models: Sequence[AlphaModel], since: int, until: int, bar_s: int) -> bool:
    """Whether of the same x decisions at both times (UTC s) are told the same: no model begins, none ages."""
    return all(
        (until <= model.expires or model.freshness(since) == model.freshness(until))
        and not since < model.valid_from(bar_s) <= until
        for model in models
    )


def doubts(trust: Array, assets: Sequence[str]) -> dict[int, str]:
    """Row -> which assets' x was shrunk there; only rows of trust (R, N) that have one."""
    rows = np.flatnonzero((trust < 1.0).any(axis=1)).tolist()
    return {t: f"shrunk on {_named(trust[t], assets)}: beyond what was learned" for t in rows}


def _named(trust: Array, assets: Sequence[str]) -> str:
    return ", ".join(f"{assets[i]} to {trust[i]:.0%}" for i in np.flatnonzero(trust < 1.0).tolist())


def _replay(path: Path, model: AlphaModel, content: Mapping[str, Any]) -> None:
    """Ask for what LightGBM itself gave at training. Raises ArtifactError where a bit differs."""
    given: Sequence[Sequence[float | None]] = content["input"]
    known = [[np.nan if v is None else v for v in row] for row in given]
    inputs = np.array(known, dtype=np.float32).reshape(len(known), len(NAMES))
    for h, found in scores(model.forest, inputs).items():
        wanted = np.array(content["output"][str(h)], dtype=np.float64)
        if not len(wanted) or not np.array_equal(found, wanted):
            raise ArtifactError(
                f"{path} does not give its golden output for {h} h, bit for bit: its files do not belong together, or "
                "this machine computes otherwise; train a new version here"
            )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
