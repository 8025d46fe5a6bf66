"""What a training of the policy leaves behind: actors as plain numbers, a manifest, and rows that are replayed.

`golden.json` holds observations and what stable-baselines3's own deterministic predict does with them; every load
replays them without torch. Nothing in a bundle is pickled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson

from evenkeel.errors import NotReadyError
from evenkeel.market import features
from evenkeel.research import tilts
from evenkeel.research.courses import PolicySettings, Standing
from evenkeel.research.evidence import Evidence
from evenkeel.research.exams import Figures
from evenkeel.research.lessons import CAP, School
from evenkeel.research.ppo import State, actor_in, predicted
from evenkeel.signals.actor import DIRECTIONS, GENERAL, SATURATED, Inputs
from evenkeel.signals.policy import CLIP, FEATURE_NAMES, GOLDEN, MARKET, NAMES, OWN
from evenkeel.types import BoolArray
from evenkeel.units import DAY_S, duration

GOLDEN_ROWS = 64


@dataclass(frozen=True, slots=True)
class Graduate:
    """A seed after its course, by its number."""

    seed: int
    standing: Standing

    @property
    def figures(self) -> Figures:
        """Of the validation of the networks that were kept."""
        mark = self.standing.mark
        assert mark is not None
        return mark.figures


@dataclass(frozen=True, slots=True)
class Specialist:
    """A regime after its courses, one for each seed: how often it won, and the networks of the chosen seed.

    wins  seeds in which routing to it came to a higher score than the general actor alone
    """

    regime: str
    wins: int
    seeds: int
    networks: State

    @property
    def kept(self) -> bool:
        """Whether it won in at least 4 of 5 seeds, and in no fewer than 4."""
        return self.wins >= max(4, math.ceil(0.8 * self.seeds))


def middle(graduates: Sequence[Graduate]) -> Graduate:
    """The one of the median score, the lower of two; of equals the first seed."""
    ordered = sorted(graduates, key=lambda one: (one.figures.score, one.seed))
    return ordered[(len(ordered) - 1) // 2]


# ---------------------------------------------------------------- files


def files(
    graduates: Sequence[Graduate], specialists: Sequence[Specialist], settings: PolicySettings
) -> dict[str, bytes]:
    """Name -> bytes of everything but the manifest."""
    actors = {GENERAL: middle(graduates).standing.kept}
    actors |= {one.regime: one.networks for one in specialists if one.kept}
    made = {actor_file(name): actor_json(networks, settings) for name, networks in actors.items()}
    made |= {seed_file(one.seed): actor_json(one.standing.kept, settings) for one in graduates}
    made[GOLDEN] = golden(actors, settings)
    return made


def actor_file(name: str) -> str:
    """File of the general actor, or of a specialist."""
    return f"{GENERAL}.json" if name == GENERAL else f"specialist_{name}.json"


def seed_file(seed: int) -> str:
    """File of the actor of a seed."""
    return f"seed_{seed}.json"


def actor_json(networks: State, settings: PolicySettings) -> bytes:
    """Layers of an actor: weight (out, in) and bias (out,), in float32's own digits."""
    made = actor_in(networks, settings.ppo, discrete=settings.discrete)
    layers = [{"weight": np.ascontiguousarray(weight), "bias": bias} for weight, bias in made.layers]
    return orjson.dumps({"layers": layers}, option=orjson.OPT_SERIALIZE_NUMPY)


def golden(actors: Mapping[str, State], settings: PolicySettings) -> bytes:
    """Made-up observations, what may be done, and what stable-baselines3 predicts of each actor."""
    seen, allowed = _golden_rows(settings.seed)
    served = [actor_in(networks, settings.ppo, discrete=settings.discrete) for networks in actors.values()]
    if not settings.discrete:
        believed = np.all([np.isfinite(one.merits(seen, 0.99 * SATURATED)[:, 0]) for one in served], axis=0)
        seen, allowed = seen[believed], allowed[believed]
    seen, allowed = seen[:GOLDEN_ROWS], allowed[:GOLDEN_ROWS]
    if not len(seen):
        raise NotReadyError("an actor answers beyond its range everywhere: it has learned nothing, train it anew")
    output = {
        name: predicted(networks, settings.ppo, seen, allowed, discrete=settings.discrete)
        for name, networks in actors.items()
    }
    content = {"input": seen, "allowed": allowed.tolist(), "output": output}
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _golden_rows(seed: int) -> tuple[Inputs, BoolArray]:
    """(512, len(NAMES)) observations within their ranges, and (512, 3) what is allowed there."""
    rng = np.random.default_rng(seed)
    count = 8 * GOLDEN_ROWS
    market = np.clip(rng.standard_normal((count, len(MARKET))), -CLIP, CLIP)
    own = rng.random((count, len(OWN)))
    allowed = rng.random((count, 3)) < 0.7
    allowed[:, 2] = True
    return np.concatenate([market, own], axis=1).astype(np.float32), allowed


# ---------------------------------------------------------------- manifest


def manifest(
    school: School,
    settings: PolicySettings,
    budgets: Sequence[float],
    graduates: Sequence[Graduate],
    specialists: Sequence[Specialist],
    proofs: Mapping[int, Evidence],
    created: int,
) -> dict[str, Any]:
    """Everything that the manifest says but digests and version.

    budgets  USD, of these actors · proofs  bar s -> evidence on the rows that judge · created  UTC s, the only thing
    that is not of data, settings and seeds
    """
    own = school.tape.bar_s
    return {
        "created": created,
        "expires": created + settings.expires_after_days * DAY_S,
        "bars": sorted(bar for bar, found in proofs.items() if bar == own or tilts.proven(found)),
        "features": {"digest": features.digest(), "names": list(FEATURE_NAMES)},
        "observation": {
            "names": list(NAMES), "clip": CLIP, "mean": school.scale.mean.tolist(), "sd": school.scale.sd.tolist()
        },
        "mode": settings.mode,
        "cap": CAP,
        "budgets": list(budgets),
        "train": _span(school, settings, graduates),
        "seeds": [_seed(one, budgets) for one in graduates],
        "chosen": middle(graduates).seed,
        "specialists": {
            "file": {name: _kept_file(name, specialists) for name in DIRECTIONS},
            "wins": {one.regime: one.wins for one in specialists},
            "seeds": max((one.seeds for one in specialists), default=0),
            "budget": settings.specialist_budget if specialists else None,
        },
        "evidence": {str(bar): found.to_json() for bar, found in proofs.items()},
        "settings": orjson.loads(orjson.dumps(asdict(settings))),
        "libraries": _libraries(),
    }  # fmt: skip


def _span(school: School, settings: PolicySettings, graduates: Sequence[Graduate]) -> dict[str, Any]:
    """What was learned from. until  the last bar that had a say: validation chooses, so it counts as learned from."""
    time, lesson = school.tape.time, school.lesson
    return {
        "bar": duration(school.tape.bar_s),
        "from": int(time[school.first]),
        "lessons_until": int(time[int(school.taught.row.max()) + lesson.bars]),
        "judged_from": int(time[school.cut]),
        "until": int(time[-1]),
        "window_s": lesson.bars * school.tape.bar_s,
        "symbols": sorted({school.tape.assets[i] for i in np.unique(school.taught.asset)}),
        "windows": [len(school.taught.row), len(school.judged.row)],
        "episodes": sum(one.standing.rounds for one in graduates) * settings.books,
        "steps": sum(one.standing.rounds for one in graduates) * settings.books * lesson.bars,
    }


def _seed(one: Graduate, budgets: Sequence[float]) -> dict[str, Any]:
    mark = one.standing.mark
    assert mark is not None
    each = {f"{budget:.0f}": figures.to_json() for budget, figures in zip(budgets, mark.each, strict=True)}
    return {
        "seed": one.seed, "file": seed_file(one.seed), "round": mark.round, "rounds": one.standing.rounds,
        "validation": mark.figures.to_json(), "budgets": each,
    }  # fmt: skip


def _kept_file(name: str, specialists: Sequence[Specialist]) -> str | None:
    return next((actor_file(name) for one in specialists if one.regime == name and one.kept), None)


def _libraries() -> dict[str, str]:
    from importlib.metadata import version  # noqa: PLC0415 - reads files

    return {name: version(name) for name in ("torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numpy")}
