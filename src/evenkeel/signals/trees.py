"""LightGBM's text model, read strictly: text in, trees out, in the order in which their outputs are added.

What is read is what `train alpha` fits: one output, plain numeric splits, regression. Anything else, and a text whose
parts do not fit together, is refused in one sentence: a tree that is walked wrongly looks like an opinion. The form is
that of LightGBM 4 (`GBDT::SaveModelToString`, `Tree::ToString`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evenkeel.errors import ArtifactError
from evenkeel.types import Array, BoolArray, IntArray

MAX_LEAVES = 64

REQUIRED = {"version": "v4", "num_class": "1", "num_tree_per_iteration": "1", "objective": "regression"}
"""What the head of a text must say: one output per iteration, that is the sum of the trees and nothing more."""

_CATEGORICAL, _DEFAULT_LEFT, _ZERO_MISSING, _NAN_MISSING = 1, 2, 4, 8
"""Bits of a node's decision type. Without either of the last two an unknown value counts as 0."""


@dataclass(frozen=True, slots=True)
class Tree:
    """L leaves and M = L - 1 nodes, node 0 the root; a child c >= 0 is a node, c < 0 is leaf ~c.

    feature    (M,) column of the inputs · threshold (M,) a value goes left where it is <= this
    nan_left   (M,) whether an unknown value goes left
    left, right  (M,) children, each later than its parent
    value      (L,) what a leaf adds
    """

    feature: IntArray
    threshold: Array
    nan_left: BoolArray
    left: IntArray
    right: IntArray
    value: Array


def read(text: str, names: Sequence[str]) -> tuple[Tree, ...]:
    """All trees of a model of these features. Raises ArtifactError, in one sentence, for any other text."""
    head, ended, body = text.partition("\n\n")
    said = _head(head)
    if not ended:
        raise _damaged("it ends within its head")
    if tuple(said.get("feature_names", "").split()) != tuple(names):
        raise ArtifactError("a model text names other features than its manifest: train a new version")
    for key, wanted in REQUIRED.items():
        if said.get(key) != wanted:
            raise ArtifactError(
                f"a model text has {key} {said.get(key, 'missing')}, only {wanted} is read: train a new version"
            )
    try:
        blocks = _blocks(body, [int(size) for size in said["tree_sizes"].split()])
        return tuple(_tree(number, block, len(names)) for number, block in enumerate(blocks))
    except (KeyError, ValueError, OverflowError) as error:
        raise _damaged(f"{type(error).__name__} {error}") from error


def hull(text: str, names: Sequence[str]) -> Array:
    """(F, 2) smallest and largest value of each input that a model was fitted on; infinite if always the same.

    LightGBM notes it of the rows that it sampled to find its bins. Raises ArtifactError where the text does not say so.
    """
    words = _head(text.partition("\n\n")[0]).get("feature_infos", "").split()
    if len(words) != len(names):
        raise _damaged(f"it tells the range of {len(words)} inputs, {len(names)} are read")
    try:
        return np.array([_range(word) for word in words]).reshape(len(words), 2)
    except ValueError as error:
        raise _damaged(f"ValueError {error}") from error


def _range(word: str) -> tuple[float, float]:
    if word == "none":
        return -np.inf, np.inf
    low, high = (float(end) for end in word.removeprefix("[").removesuffix("]").split(":"))
    if not low <= high:
        raise ValueError(f"{word} is no range")
    return (low, high) if low < high else (-np.inf, np.inf)


def _head(text: str) -> dict[str, str]:
    first, *lines = text.split("\n")
    if first != "tree":
        raise _damaged("it does not begin with `tree`")
    for line in lines:
        if "=" not in line:
            raise ArtifactError(f"a model text says {line[:40]!r}, which is not read: train a new version")
    return dict(line.split("=", 1) for line in lines)


def _blocks(body: str, sizes: Sequence[int]) -> list[str]:
    """Text of each tree, cut where the head says that it ends."""
    ends = np.cumsum([0, *sizes]).tolist()
    blocks = [body[start:stop] for start, stop in pairwise(ends)]
    if not blocks:
        raise _damaged("it has no tree")
    for number, block in enumerate(blocks):
        if not block.startswith(f"Tree={number}\n"):
            raise _damaged(f"tree {number} is not where its head says")
    if not body[ends[-1] :].startswith("end of trees\n"):
        raise _damaged("its trees do not end where its head says")
    return blocks


def _tree(number: int, block: str, features: int) -> Tree:
    said = dict(line.split("=", 1) for line in block.strip().split("\n"))
    leaves = int(said["num_leaves"])
    if not 1 <= leaves <= MAX_LEAVES:
        raise ArtifactError(f"tree {number} has {leaves} leaves, 1 to {MAX_LEAVES} are read: train a new version")
    kinds = _integers(said["decision_type"])
    _refuse_other_kinds(number, said, kinds)
    threshold = _numbers(said["threshold"])
    tree = Tree(
        feature=_integers(said["split_feature"]),
        threshold=threshold,
        nan_left=np.where(kinds & _NAN_MISSING, (kinds & _DEFAULT_LEFT) > 0, threshold >= 0.0),
        left=_integers(said["left_child"]),
        right=_integers(said["right_child"]),
        value=_numbers(said["leaf_value"]),
    )
    _refuse_no_tree(number, tree, leaves, features)
    return tree


def _refuse_other_kinds(number: int, said: dict[str, str], kinds: IntArray) -> None:
    if said["num_cat"] != "0" or (kinds & _CATEGORICAL).any():
        what = "a categorical split"
    elif said["is_linear"] != "0":
        what = "linear leaves"
    elif (kinds & _ZERO_MISSING).any():
        what = "a split to which zero is unknown (zero_as_missing)"
    elif (kinds & ~(_DEFAULT_LEFT | _NAN_MISSING)).any():
        what = "a split of no known type"
    else:
        return
    raise ArtifactError(f"tree {number} has {what}, which is not read: train a new version without")


def _refuse_no_tree(number: int, tree: Tree, leaves: int, features: int) -> None:
    nodes = leaves - 1
    if len(tree.value) != leaves or any(
        len(of_node) != nodes for of_node in (tree.feature, tree.threshold, tree.nan_left, tree.left, tree.right)
    ):
        raise _damaged(f"tree {number} has {leaves} leaves and not as many numbers")
    if np.isnan(tree.threshold).any() or not np.isfinite(tree.value).all():  # infinite: all numbers go left
        raise _damaged(f"tree {number} has a number that is not finite")
    if ((tree.feature < 0) | (tree.feature >= features)).any():
        raise _damaged(f"tree {number} splits on a feature that is not there")
    children = np.concatenate([tree.left, tree.right])
    parents = np.tile(np.arange(nodes), 2)
    wanted = [*range(-leaves, 0), *range(1, nodes)] if nodes else []
    if sorted(children.tolist()) != wanted or ((children >= 0) & (children <= parents)).any():
        raise _damaged(f"tree {number} has nodes that do not make a tree")


def _integers(text: str) -> IntArray:
    return np.array([int(word) for word in text.split()], dtype=np.int64)


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(word) for word in text.split()], dtype=np.float64)


def _damaged(what: str) -> ArtifactError:
    return ArtifactError(f"a model text is damaged ({what}): train a new version")
