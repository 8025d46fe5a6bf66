"""Three classifiers of settled quotes, fitted in the order of time: quotes in, members, their curve and forecasts out.

Each member's one parameter is chosen by log loss over expanding folds in time; the forecasts of those folds, which no
member had learned, make the isotonic curve that corrects the members' mean. Every cluster weighs the same. The members
are scikit-learn's; `exported` writes them as numbers that `events.ensemble` walks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from evenkeel.events.calibration import Curve, fitted
from evenkeel.events.ensemble import corrected
from evenkeel.research.kalshi import split
from evenkeel.research.kalshi.scores import log_loss, weights
from evenkeel.research.kalshi.settled import Settled
from evenkeel.types import Array, BoolArray

NAMES: Final = ("logistic", "forest", "boosting")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is tried for each member; trees of a forest.

    logistic  inverse penalties · forest  least shares of the weight in a leaf · boosting  numbers of trees
    """

    logistic: tuple[float, ...] = (0.01, 0.1, 1.0)
    forest: tuple[float, ...] = (0.02, 0.05, 0.10)
    boosting: tuple[float, ...] = (25, 50, 100)
    trees: int = 100

    @property
    def fits(self) -> int:
        """How many classifiers one `fit` fits."""
        return split.FOLDS * sum(len(getattr(self, name)) for name in NAMES) + len(NAMES)


Advance = Callable[[int], object]
"""Is told how many classifiers were fitted since it was last told."""


def silent(count: int) -> None:
    """Tell nobody."""
    del count


@dataclass(frozen=True, slots=True)
class Member:
    """A fitted classifier; unknown inputs count as the mean of training.

    parameter  the one that was chosen · loss  its log loss over the folds
    mean, scale  (F,) of training: the logistic regression reads standardised inputs, trees read them as they are
    """

    name: str
    parameter: float
    loss: float
    mean: Array
    scale: Array
    model: Any

    def __call__(self, x: Array) -> Array:
        """(n, F) inputs -> (n,) probability of YES."""
        given = _prepared(self.name, x, self.mean, self.scale)
        return np.asarray(self.model.predict_proba(given)[:, 1], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Fit:
    """Members and the curve of their mean; `said` (n,) mean forecasts of the folds, NaN where none was made."""

    members: tuple[Member, ...]
    curve: Curve
    said: Array

    def each(self, x: Array) -> Array:
        """(3, n) what each member says."""
        return np.stack([member(x) for member in self.members])

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """(n,) corrected probability and its error; NaN outside of what the curve saw."""
        return corrected(self.each(x), self.curve)


def fit(x: Array, quotes: Settled, seed: int, settings: Settings, advance: Advance = silent) -> Fit:
    """Fit on all rows given: x (n, F), NaN = unknown; outcomes and clusters of the quotes."""
    y, each = quotes.outcome, weights(quotes.cluster)
    cuts = list(split.folds(quotes))
    members, said = [], []
    for name in NAMES:
        makers = [_Maker(name, value, settings.trees, seed) for value in getattr(settings, name)]
        tried = [_out_of_fold(maker, x, y, each, cuts, advance) for maker in makers]
        losses = [_loss(p, y, each) for p in tried]
        best = int(np.argmin(losses))
        members.append(makers[best].member(x, y, each, losses[best]))
        advance(1)
        said.append(tried[best])
    mean = np.mean(said, axis=0)
    seen = np.isfinite(mean)
    curve = fitted(mean[seen], y[seen], weights(quotes.cluster[seen]))
    return Fit(tuple(members), curve, mean)


def _out_of_fold(
    maker: _Maker, x: Array, y: Array, each: Array, cuts: Sequence[tuple[BoolArray, BoolArray]], advance: Advance
) -> Array:
    """(n,) forecasts of the folds' tests, NaN elsewhere."""
    out = np.full(len(y), math.nan)
    for train, test in cuts:
        out[test] = maker.member(x[train], y[train], each[train], math.nan)(x[test])
        advance(1)
    return out


def _loss(p: Array, y: Array, each: Array) -> float:
    seen = np.isfinite(p)
    return float(each[seen] @ log_loss(p[seen], y[seen]) / each[seen].sum())


def _moments(x: Array, each: Array) -> tuple[Array, Array]:
    """(F,) weighted mean and deviation of what is known of each column; 0 and 1 where nothing is, or nothing varies."""
    weight, known = np.where(np.isnan(x), 0.0, each[:, None]), np.nan_to_num(x)
    whole = np.maximum(weight.sum(axis=0), 1e-12)
    mean = (weight * known).sum(axis=0) / whole
    scale = np.sqrt((weight * (known - mean) ** 2).sum(axis=0) / whole)
    return mean, np.where(scale > 1e-9, scale, 1.0)


def _prepared(name: str, x: Array, mean: Array, scale: Array) -> Array:
    """Inputs as a member reads them."""
    filled = np.where(np.isnan(x), mean, x)
    return (filled - mean) / scale if name == "logistic" else filled


@dataclass(frozen=True, slots=True)
class _Maker:
    """A member that is not fitted yet."""

    name: str
    value: float
    trees: int
    seed: int

    def member(self, x: Array, y: Array, each: Array, loss: float) -> Member:
        """Fitted on inputs (n, F), outcomes and weights (n,)."""
        mean, scale = _moments(x, each)
        model = self._classifier()
        model.fit(_prepared(self.name, x, mean, scale), y.astype(np.int64), sample_weight=each)
        return Member(self.name, self.value, loss, mean, scale, model)

    def _classifier(self) -> Any:
        from sklearn import ensemble, linear_model  # noqa: PLC0415 - training only

        if self.name == "logistic":
            return linear_model.LogisticRegression(C=self.value, tol=1e-8, max_iter=1_000)
        if self.name == "forest":
            return ensemble.RandomForestClassifier(
                self.trees, max_depth=5, min_weight_fraction_leaf=self.value, max_features=2, random_state=self.seed
            )
        return ensemble.GradientBoostingClassifier(
            n_estimators=int(self.value), learning_rate=0.05, max_depth=2, subsample=0.7, min_weight_fraction_leaf=0.02,
            random_state=self.seed,
        )  # fmt: skip


# ---------------------------------------------------------------- as numbers


def exported(member: Member) -> dict[str, Any]:
    """A member in the form that `events.ensemble.member` reads."""
    said = {"name": member.name}
    if member.name == "logistic":
        return {**said, "kind": "logistic", "mean": member.mean.tolist(), "scale": member.scale.tolist(),
                "coef": member.model.coef_[0].tolist(), "intercept": float(member.model.intercept_[0])}  # fmt: skip
    if member.name == "forest":
        trees = [_tree(one.tree_, one.tree_.value[:, 0, 1]) for one in member.model.estimators_]
        return {**said, "kind": "trees", "trees": trees, "start": 0.0, "rate": 1.0 / len(trees), "log_odds": False}
    prior = float(member.model.init_.class_prior_[1])
    trees = [_tree(one.tree_, one.tree_.value[:, 0, 0]) for one in member.model.estimators_[:, 0]]
    return {**said, "kind": "trees", "trees": trees, "start": math.log(prior / (1 - prior)),
            "rate": float(member.model.learning_rate), "log_odds": True}  # fmt: skip


def _tree(tree: Any, value: Array) -> dict[str, Any]:
    """A tree's nodes; feature -1 is a leaf, whose threshold and children say nothing."""
    leaf = tree.children_left < 0
    return {
        "feature": np.where(leaf, -1, tree.feature).tolist(),
        "threshold": np.where(leaf, 0.0, tree.threshold).tolist(),
        "left": np.where(leaf, 0, tree.children_left).tolist(),
        "right": np.where(leaf, 0, tree.children_right).tolist(),
        "value": value.tolist(),
    }
