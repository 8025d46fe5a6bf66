"""Small hand-made actors in bundles of the documented form: a policy that acts on what it sees, made in no time."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson

from evenkeel import artifacts
from evenkeel.market import features
from evenkeel.signals import policy

MEAN = {"vol": 1.5, "rsi": 0.45, "bb": 0.4, "dd": -0.2, "liq": 19.0, "amihud": -20.0, "hour": 12.0}
SD = {"r_24": 0.07, "r_168": 0.15, "vol": 0.6, "rsi": 0.1, "bb": 0.3, "dd": 0.1, "liq": 3.0, "amihud": 3.0, "hour": 7.0}
"""Rough means, 0 for the others, and spreads, 1 for the others, of inputs."""
LEAN = {"r_24": 0.9, "rsi": 0.6, "dd": -0.4, "share": -1.2, "cash": 0.6, "unrealised": -0.2}
"""What the first unit of an actor looks at; every unit looks a little at everything."""
NEVER = 4_102_444_800
"""2100-01-01."""


def layers(
    seed: int, *, discrete: bool, gain: float = 1.0, still: bool = False, eager: float = 0.0
) -> list[dict[str, Any]]:
    """Weights of an actor of eight units; gain multiplies its answer, still = it answers 0, eager is added to it."""
    rng = np.random.default_rng(seed)
    inner = 0.04 * rng.standard_normal((8, len(policy.NAMES)))
    for name, weight in LEAN.items():
        inner[0, policy.NAMES.index(name)] += weight
    outer = 0.15 * rng.standard_normal((3 if discrete else 1, 8))
    outer[0, 0] += 1.0
    if discrete:
        outer[1, 0] -= 1.0
    outer *= 0.0 if still else gain
    bias = np.zeros(len(outer))
    bias[0] = eager
    if discrete:
        bias[2] = 1.0 if still else 0.2
    return [
        {"weight": inner.tolist(), "bias": (0.1 * rng.standard_normal(8)).tolist()},
        {"weight": outer.tolist(), "bias": bias.tolist()},
    ]


def files(seed: int, names: tuple[str, ...], *, discrete: bool, **how: Any) -> dict[str, bytes]:
    """Actors, and a golden file that holds what they answer."""
    made = {"general.json": layers(seed, discrete=discrete, **how)}
    for number, name in enumerate(names):
        made[f"specialist_{name}.json"] = layers(seed + number + 1, discrete=discrete, **how)
    rng = np.random.default_rng(seed)
    seen = rng.uniform(-1, 1, (16, len(policy.NAMES))).astype(np.float32)
    allowed = np.ones((16, 3), dtype=np.bool_)
    said = {}
    for file, content in made.items():
        answer = policy.actor({"layers": content}).act(seen, allowed)
        said[file.removesuffix(".json").removeprefix("specialist_")] = answer.tolist()
    if np.isfinite([x for answers in said.values() for x in answers]).all():
        golden = {"input": seen.tolist(), "allowed": allowed.tolist(), "output": said}
    else:
        golden = {"input": seen.tolist(), "allowed": allowed.tolist(), "output": {}}
    return {
        **{name: orjson.dumps({"layers": content}) for name, content in made.items()},
        policy.GOLDEN: orjson.dumps(golden),
    }


def bundle(
    folder: Path,
    version: str = "v1",
    *,
    until: int,
    discrete: bool = False,
    specialists: tuple[str, ...] = (),
    expires: int = NEVER,
    bars: tuple[int, ...] = (1_800, 3_600),
    seed: int = 3,
    **how: Any,
) -> artifacts.Bundle:
    """Write `folder/policy/<version>`, taught on bars up to `until` (UTC s)."""
    kept = {name: f"specialist_{name}.json" if name in specialists else None for name in policy.DIRECTIONS}
    manifest = {
        "created": until, "expires": expires, "bars": list(bars),
        "features": {"digest": features.digest(), "names": list(policy.FEATURE_NAMES)},
        "observation": {
            "names": list(policy.NAMES), "clip": policy.CLIP, "mean": [MEAN.get(name, 0.0) for name in policy.MARKET],
            "sd": [SD.get(name, 1.0) for name in policy.MARKET],
        },
        "mode": "discrete" if discrete else "continuous", "budgets": [10_000], "chosen": seed,
        "train": {"from": until - 86_400, "until": until, "window_s": 3_600},
        "specialists": {"file": kept, "wins": {}, "seeds": 0, "budget": None},
        "evidence": {str(bar): {"decisions": 1_000, "ic": 0.05, "ic_t": 3.0} for bar in bars},
    }  # fmt: skip
    return artifacts.write(folder, policy.KIND, version, manifest, files(seed, specialists, discrete=discrete, **how))


@cache
def model(bar_s: int = 1_800, until: int = 0, **how: Any) -> policy.PolicyModel:
    """Such a bundle, written and loaded."""
    with TemporaryDirectory() as folder:
        return policy.load(bundle(Path(folder), until=until, **how).path, bar_s)
