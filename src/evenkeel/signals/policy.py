"""The `policy` opinion: what a trained actor would do with one asset and the cash beside it.

One table says what an actor observes; `market_part` and `own_part` make it, for one decision here and for thousands of
books in training, by the same code. `signals.actor` is the network: no torch in the service.

An actor trades a *slot*: an asset's capped share of the equity, of which `share` is held and the rest is cash. Its
action a in [-1, 1] means: hold clip(share + a, 0, 1), and less than DEAD is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from evenkeel import artifacts
from evenkeel.errors import ArtifactError
from evenkeel.lean import lean
from evenkeel.market import features
from evenkeel.market.features import FEATURES, MARKET_FEATURES
from evenkeel.signals.actor import DIRECTIONS, GENERAL, Actor, Inputs, permitted, routed
from evenkeel.signals.blend import strength
from evenkeel.types import Array, BoolArray, Health, Opinion, View, unknown
from evenkeel.units import DAY_S, HOUR_S, iso

KIND = "policy"
GOLDEN = "golden.json"
GOLDEN_TOLERANCE = 1e-5
DEAD = 0.1
"""An action nearer to 0 holds."""

CLIP = 5.0
"""Standardised inputs are cut here; NaN becomes 0, the mean."""

REGIMES = ("p_trend", "p_chop", "p_down", "p_low", "p_mid", "p_high")

OWN: tuple[tuple[str, str, str], ...] = (
    ("share", "share of the slot, 0 to 1", "how much of the slot is held"),
    ("cash", "share of the slot, 0 to 1", "how much of the slot is cash"),
    ("unrealised", "log return / 24 h volatility, -5 to 5", "price against the basis, 0 where nothing is held"),
    ("age", "log2(1 + days), 0 to 5", "time in position, 0 where nothing is held"),
    ("cooling", "0 or 1", "a stop fired lately: purchases wait"),
    ("budget", "log10(USD) - 4, -2 to 3", "size of the slot: what minimum notional, lots and impact depend on"),
)
"""What an actor knows of its own slot: name, unit and range, meaning."""

FEATURE_NAMES: tuple[str, ...] = tuple(x.name for x in FEATURES) + tuple(x.name for x in MARKET_FEATURES)
MARKET: tuple[str, ...] = FEATURE_NAMES + REGIMES
NAMES: tuple[str, ...] = MARKET + tuple(name for name, _, _ in OWN)
"""Everything that is observed, in this order."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of each market input, (len(MARKET),), taken from training rows."""

    mean: Array
    sd: Array

    def of(self, raw: Array | Inputs) -> Inputs:
        """(..., len(MARKET)) standardised, cut at CLIP; NaN is 0. Read as float32, wherever it comes from."""
        with np.errstate(invalid="ignore", over="ignore"):
            z = np.clip((raw.astype(np.float32) - self.mean) / self.sd, -CLIP, CLIP)
        return np.nan_to_num(z, nan=0.0).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Own:
    """The slots as they stand, (B,) each.

    share  held / slot, 0 to 1 · price, basis  USD a unit, basis NaN where nothing is held · day_vol  sd of 24 h
    age_s  time in position, s · cooling  a stop fired lately · budget  USD
    """

    share: Array
    price: Array
    basis: Array
    day_vol: Array
    age_s: Array
    cooling: BoolArray
    budget: Array


def own_part(own: Own) -> Inputs:
    """(B, len(OWN)) what `OWN` says, in its order."""
    out = np.zeros((len(own.share), len(OWN)), dtype=np.float32)
    held = own.share > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = np.clip(np.log(own.price / own.basis) / own.day_vol, -CLIP, CLIP)
    out[:, 0] = np.clip(own.share, 0.0, 1.0)
    out[:, 1] = 1.0 - out[:, 0]
    out[:, 2] = np.where(held & np.isfinite(gain), gain, 0.0)
    out[:, 3] = np.where(held, np.clip(np.log2(1.0 + own.age_s / (24 * HOUR_S)), 0.0, CLIP), 0.0)
    out[:, 4] = own.cooling
    out[:, 5] = np.clip(np.log10(np.maximum(own.budget, 1.0)) - 4.0, -2.0, 3.0)
    return out


def market_part(features: Array, market: Array, regime: Array) -> Array:
    """(..., N, len(MARKET)) of features (..., N, F), market-wide ones (..., G) and regime probabilities (..., 6)."""
    wide = np.concatenate([market, regime], axis=-1)[..., None, :]
    shared = np.broadcast_to(wide, (*features.shape[:-1], wide.shape[-1]))
    return np.concatenate([features, shared], axis=-1)


def wanted(share: Array, action: Array) -> Array:
    """Share of the slot that is wanted, (B,) in [0, 1]; NaN = hold what is held."""
    moved = np.clip(share + action, 0.0, 1.0)
    return np.where(np.abs(action) < DEAD, np.nan, moved)


def inputs(market: Inputs, own: Inputs) -> Inputs:
    """(B, len(NAMES)) both parts side by side."""
    return np.concatenate([market, own], axis=1)


# ---------------------------------------------------------------- a served model


@dataclass(frozen=True, slots=True)
class PolicyModel:
    """A loaded bundle.

    actors     by name: `general`, and those of DIRECTIONS that were fine-tuned and kept
    train_end  UTC s of the last bar that was learned from · expires UTC s, after which its weight decays over 24 h
    strength   expected 24 h return per unit of action and of 24 h volatility, from out-of-sample IC on the served bar
    window_s   s of market that one lesson saw, its last bar's fill included
    """

    version: str
    digest: str
    actors: Mapping[str, Actor]
    scale: Scale
    train_end: int
    window_s: int
    expires: int
    strength: float
    manifest: Mapping[str, Any]

    @property
    def valid_from(self) -> int:
        """First decision time, UTC s, that shares no price with a lesson."""
        return self.train_end + self.window_s

    @property
    def name(self) -> str:
        """Version and digest, as plans and journal say it."""
        return f"{self.version} {self.digest[:12]}"

    def freshness(self, time: int) -> float:
        """1 until it expires, then linearly down to 0 within 24 h."""
        return min(1.0, max(0.0, 1.0 - (time - self.expires) / DAY_S))

    def voices(self, regime: Array) -> dict[str, float]:
        """Which actors speak, and what each counts; regime (6,) as in `act`."""
        if len(self.actors) == 1:
            return {GENERAL: 1.0}
        said: dict[str, float] = {}
        for name, share in zip(DIRECTIONS, regime[: len(DIRECTIONS)].tolist(), strict=True):
            speaker = name if name in self.actors else GENERAL
            said[speaker] = said.get(speaker, 0.0) + share
        return said

    def act(self, seen: Inputs, allowed: BoolArray, regime: Array) -> Array:
        """(B,) actions; NaN where it is beyond belief. regime (6,) probabilities, the first three of DIRECTIONS."""
        general = self.actors[GENERAL]
        if len(self.actors) == 1:
            return general.act(seen, allowed)
        told = [self.actors.get(name, general).merits(seen) for name in DIRECTIONS]
        return routed(told, regime[: len(DIRECTIONS)], allowed)


def load(path: Path, bar_s: int) -> PolicyModel:
    """The model in a bundle folder, for `bar_s` bars. Raises ArtifactError, in one sentence, if it is refused."""
    bundle = artifacts.load(
        path, KIND, features_digest=features.digest(), feature_names=MARKET[: len(FEATURE_NAMES)], bar_s=bar_s
    )
    said = bundle.manifest
    try:
        observed = said["observation"]
        if tuple(observed["names"]) != NAMES:
            raise ArtifactError(f"{path} observes other inputs than this version: train a new version")
        kept = {name: file for name, file in said["specialists"]["file"].items() if file}
        files = {GENERAL: f"{GENERAL}.json", **kept}
        actors = {name: actor(orjson.loads(bundle.files[file])) for name, file in files.items()}
        evidence = said["evidence"][str(bar_s)]
        model = PolicyModel(
            version=bundle.version,
            digest=bundle.digest,
            actors=actors,
            scale=Scale(np.array(observed["mean"], dtype=np.float64), np.array(observed["sd"], dtype=np.float64)),
            train_end=int(said["train"]["until"]),
            window_s=int(said["train"]["window_s"]) + bar_s,
            expires=int(said["expires"]),
            strength=strength(_number(evidence["ic"]), _number(evidence["ic_t"])),
            manifest=said,
        )
        _replay(path, model, orjson.loads(bundle.files[GOLDEN]))
    except (KeyError, TypeError, ValueError, orjson.JSONDecodeError) as error:
        raise ArtifactError(
            f"{path} is no policy bundle ({type(error).__name__} {error}): train a new version"
        ) from error
    return model


def begins(path: Path, bar_s: int) -> int:
    """First decision time, UTC s, of which a bundle may speak; asks its manifest only. Raises ArtifactError."""
    said = artifacts.read(path, KIND).manifest
    try:
        return int(said["train"]["until"]) + int(said["train"]["window_s"]) + bar_s
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path} is no policy bundle ({type(error).__name__} {error}): train a new version"
        ) from error


def actor(content: Mapping[str, Any]) -> Actor:
    """An actor of its JSON form. Raises ValueError or TypeError where layers are none of one, or not finite."""
    layers = tuple(
        (np.array(layer["weight"], dtype=np.float32), np.array(layer["bias"], dtype=np.float32))
        for layer in content["layers"]
    )
    if not all(np.isfinite(x).all() for layer in layers for x in layer):
        raise ValueError("a layer is not finite")
    made = Actor(layers)
    if made.inputs != len(NAMES):
        raise ValueError(f"an actor of {made.inputs} inputs is shown {len(NAMES)}")
    return made


def _replay(path: Path, model: PolicyModel, content: Mapping[str, Any]) -> None:
    """What stable-baselines3 said of the golden inputs must be said here too."""
    seen = np.array(content["input"], dtype=np.float32)
    allowed = np.array(content["allowed"], dtype=np.bool_)
    for name, outputs in content["output"].items():
        found = model.actors[name].act(seen, allowed)
        wanted_ = np.array(outputs, dtype=np.float64)
        if not len(wanted_) or found.shape != wanted_.shape or not np.allclose(found, wanted_, atol=GOLDEN_TOLERANCE):
            raise ArtifactError(f"{path} does not give the golden output of {name}: train a new version here")


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


# ---------------------------------------------------------------- the opinion


@lean
@dataclass(frozen=True, slots=True)
class Proposal:
    """What the policy says in one slot.

    wanted  (N,) weights, NaN = hold what is held; as the model expires, its moves shrink with what its weight has left
    """

    opinion: Opinion
    wanted: Array


def propose(model: PolicyModel, view: View, own: Own, slot: Array, tradable: BoolArray) -> Proposal:
    """Ask the model about every asset.

    slot  (N,) weight of a full slot of each asset: its cap · tradable (N,) may be bought now
    """
    health, why = _health(model, view)
    seen = inputs(model.scale.of(market_part(view.features, view.market, view.regime)), own_part(own))
    can = permitted(own.share, can_buy=tradable, can_sell=view.fault == 0)
    action = model.act(seen, can, view.regime)
    known = np.isfinite(view.vol) & np.isfinite(own.price)
    doubtful = known & ~np.isfinite(action)
    action = np.where(known, np.nan_to_num(action), np.nan)
    if doubtful.any():
        names = ", ".join(a for a, odd in zip(view.assets, doubtful, strict=True) if odd)
        why = f"{why}; " * bool(why) + f"neutral on {names}: beyond what was learned"
    if health is Health.MISSING:
        action = np.full_like(action, np.nan)
    fresh = model.freshness(view.time)
    opinion = Opinion(KIND, action, health, model.strength * fresh, model.name, why)
    wish = wanted(own.share, fresh * np.nan_to_num(action)) * slot
    return Proposal(opinion, np.where(np.isfinite(action), wish, np.nan))


def silent(model: PolicyModel, view: View) -> Opinion:
    """The opinion where nobody asks what to hold (risk slots): x is NaN."""
    health, why = _health(model, view)
    return Opinion(KIND, unknown(len(view.assets)), health, 0.0, model.name, why)


def _health(model: PolicyModel, view: View) -> tuple[Health, str]:
    if view.time < model.valid_from:
        return Health.MISSING, f"trained on what is shown here, until {iso(model.train_end)}"
    fresh = model.freshness(view.time)
    if fresh >= 1.0:
        return Health.OK, ""
    left = f", {fresh:.0%} of its weight is left" if fresh > 0.0 else ""
    return Health.OK if fresh > 0.0 else Health.EXPIRED, f"expired at {iso(model.expires)}{left}"
