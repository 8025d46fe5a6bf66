"""Trees as they are served: LightGBM's bits for every row, and no text that is not understood."""

from functools import cache
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel.errors import ArtifactError
from evenkeel.signals import alpha, trees
from evenkeel.signals.forest import FAR, NEAR, forest

SHIPPED = Path(__file__).parents[2] / "models" / "alpha" / "v1"
NAMES = ("a", "b", "c", "d")
ANYWHERE = np.tile([-np.inf, np.inf], (len(NAMES), 1))
TINY, HUGE = np.float32(1e-35), np.finfo(np.float32).max
EDGES = np.array(
    [np.nan, np.inf, -np.inf, HUGE, -HUGE, 0.0, -0.0, TINY, -TINY, 1e-36, -1e-36, 1e-44, 3e-35, -3e-35], np.float32
)


def asked(model, inputs):
    """Ask trees for rows (n, F) of their own features."""
    known = np.ones((len(inputs), 1), dtype=np.bool_)
    found = model.score(inputs.astype(np.float64)[:, None, :], np.empty((len(inputs), 0)), known)
    return {h: rows[:, 0] for h, rows in found.items()}


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def walked(model, row):
    """Go through every tree by hand, as LightGBM's NumericalDecision does, but that the value of NaN is known."""
    total = 0.0
    for tree in model:
        node = 0 if len(tree.left) else ~0
        while node >= 0:
            value = float(row[tree.feature[node]])
            value = 0.0 if abs(value) <= TINY else value
            left = tree.nan_left[node] if np.isnan(value) else value <= tree.threshold[node]
            node = int((tree.left if left else tree.right)[node])
        total += tree.value[~node]
    return total


# ---------------------------------------------------------------- LightGBM's bits


@st.composite
def fitted(draw):
    """A small model of columns of unlike kinds, with or without NaN, and the rows that it learned."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.sampled_from([20, 60, 300]))
    columns = [
        rng.standard_normal(n),
        rng.integers(-3, 4, n) * draw(st.sampled_from([1.0, 1e-35, 3e37])),
        10.0 ** rng.uniform(-38, 38, n) * rng.choice([-1, 1], n),
        rng.choice(EDGES, n),
    ]
    x = np.array(columns, dtype=np.float32).T
    x[rng.random(x.shape) < draw(st.sampled_from([0.0, 0.2]))] = np.nan
    y = np.nan_to_num(np.tanh(x), nan=0.4).sum(axis=1) + rng.standard_normal(n)
    given = {
        "objective": "regression", "num_leaves": draw(st.sampled_from([2, 7, 31, 33, 64])), "verbosity": -1,
        "min_data_in_leaf": draw(st.sampled_from([1, 5, 1000])), "min_data_in_bin": 1, "num_threads": 1,
        "use_missing": draw(st.booleans()), "learning_rate": 0.3, "seed": 1,
    }  # fmt: skip
    rounds = draw(st.integers(1, 9))
    return lightgbm.train(given, lightgbm.Dataset(x, y, feature_name=list(NAMES)), rounds).model_to_string(), x


def around(model, learned, rng, n=400):
    """Make rows of what was learned, of thresholds and their neighbours, of edges and of noise."""
    thresholds = np.concatenate([tree.threshold for tree in model])
    with np.errstate(over="ignore"):
        on = thresholds.astype(np.float32)
    near = [np.nextafter(on, np.float32(side)) for side in (-np.inf, np.inf)]
    drawn = [EDGES, on, *near, learned.ravel(), rng.standard_normal(50).astype(np.float32)]
    return np.array([rng.choice(np.concatenate(drawn), n) for _ in NAMES]).T


@settings(max_examples=80)
@given(fitted(), fitted(), st.integers(0, 2**32 - 1))
def test_every_row_has_the_bits_of_lightgbm(one, other, seed):
    models = {6: trees.read(one[0], NAMES), 24: trees.read(other[0], NAMES)}
    rows = around((*models[6], *models[24]), np.concatenate([one[1], other[1]]), np.random.default_rng(seed))

    found = asked(forest(models, ANYWHERE), rows)

    for h, (text, _) in ((6, one), (24, other)):
        assert same_bits(found[h], lightgbm.Booster(model_str=text).predict(rows, num_threads=1))
        assert found[h][:20].tolist() == [walked(models[h], row) for row in rows[:20]]


@cache
def shipped():
    return {h: (SHIPPED / f"model_{h}h.txt").read_text() for h in (6, 24)}


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_the_shipped_models_have_the_bits_of_lightgbm(seed, unknown):
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal((500, len(alpha.NAMES))) * 10.0 ** rng.uniform(-2, 1.5, (500, 1))).astype(np.float32)
    rows[rng.random(rows.shape) < unknown] = np.nan

    found = alpha.scores(alpha.forest(shipped()), rows)

    for h, text in shipped().items():
        assert same_bits(found[h], lightgbm.Booster(model_str=text).predict(rows, num_threads=1))


def test_a_row_has_the_same_bits_whatever_is_asked_beside_it():
    """Other rows, other assets, other horizons, an order turned round."""
    rng = np.random.default_rng(3)
    values, market = rng.standard_normal((133, 5, 23)), rng.standard_normal((133, 8))
    values[rng.random(values.shape) < 0.1] = np.nan
    known = rng.random((133, 5)) < 0.8
    model = alpha.forest(shipped())
    every = model.score(values, market, known)

    turned = model.score(values[::-1, ::-1], market[::-1], known[::-1, ::-1])
    for h, rows in every.items():
        assert np.array_equal(np.isfinite(rows), known)
        assert same_bits(np.ascontiguousarray(turned[h][::-1, ::-1]), rows)
        alone = alpha.forest({h: shipped()[h]}).score(values, market, known)[h]
        assert same_bits(alone, rows)
        for start, stop in ((0, 1), (31, 34), (40, 133)):
            assert same_bits(
                model.score(values[start:stop], market[start:stop], known[start:stop])[h], rows[start:stop]
            )


def test_inputs_of_other_features_are_refused():
    with pytest.raises(ValueError, match="not those of the trees"):
        alpha.forest(shipped()).score(np.empty((2, 5, 22)), np.empty((2, 8)), np.ones((2, 5), dtype=np.bool_))


def test_no_row_no_forecast():
    found = alpha.forest(shipped()).score(np.empty((0, 5, 23)), np.empty((0, 8)), np.empty((0, 5), dtype=np.bool_))

    assert {h: rows.shape for h, rows in found.items()} == {6: (0, 5), 24: (0, 5)}


@pytest.mark.parametrize("threshold", ["0", "-0", "1e-36", "-1e-36", "1e-46", "1e300", "-1e300", "3.4028235e38", "inf"])
def test_a_threshold_that_no_training_gives_is_met_all_the_same(threshold):
    before, name, rest = text().partition("\nthreshold=")
    changed = resized(f"{before}{name}{threshold} {rest.partition(' ')[2]}")
    rows = np.repeat(EDGES[:, None], len(NAMES), axis=1)

    found = asked(forest({6: trees.read(changed, NAMES)}, ANYWHERE), rows)[6]

    assert same_bits(found, lightgbm.Booster(model_str=changed).predict(rows, num_threads=1))


# ---------------------------------------------------------------- the range that was learned from


def test_the_hull_is_the_range_of_the_rows_that_were_learned():
    """NaN aside; of no account where a column is always the same: nothing can be measured by it."""
    rng = np.random.default_rng(5)
    x = (rng.standard_normal((300, len(NAMES))) * [1.0, 1e-6, 1e9, 0.0]).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    made = lightgbm.train({"verbosity": -1, "num_threads": 1}, lightgbm.Dataset(x, np.arange(300)), 2)
    told = trees.hull(made.model_to_string(), NAMES)

    assert told[:3].tolist() == [[np.nanmin(column), np.nanmax(column)] for column in x.T[:3].astype(np.float64)]
    assert told[3].tolist() == [-np.inf, np.inf]


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_trust_is_that_of_the_farthest_input(seed):
    """Against the same in plain words; inside of the hull, and a little outside, it is 1 to the bit."""
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.standard_normal((2, len(NAMES))), axis=0)
    hull = np.stack([low, high], axis=1)
    hull[rng.random(len(NAMES)) < 0.2] = [-np.inf, np.inf]
    rows = rng.standard_normal((50, 3, 3)) * 3.0
    shared = rng.standard_normal((50, 1))
    rows[rng.random(rows.shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    found = forest({6: trees.read(text(), NAMES)}, hull).trust(rows, shared)

    for t, n in np.ndindex(found.shape):
        out = [
            max(a - v, v - b) / (b - a)
            for v, (a, b) in zip([*rows[t, n], *shared[t]], hull, strict=True)
            if np.isfinite(a) and not (np.isnan(v) or a <= v <= b)
        ]
        farthest = max(out, default=0.0)
        assert found[t, n] == pytest.approx(min(1.0, max(0.0, (FAR - farthest) / (FAR - NEAR))))
        assert found[t, n] == 1.0 or farthest > NEAR


def test_the_shipped_models_believe_themselves_in_full_within_what_they_learned():
    model, clock = alpha.forest(shipped()), [alpha.NAMES.index(name) for name in alpha.CLOCK]
    hull = np.delete(model.hull, clock, axis=0)
    assert np.isfinite(hull).all()
    assert (hull[:, 0] < hull[:, 1]).all()
    assert np.isinf(model.hull[clock]).all()

    inside = hull[:, 0] + np.random.default_rng(1).random((40, 1, len(hull))) * (hull[:, 1] - hull[:, 0])
    shared = np.concatenate([inside[:, 0, 23:], np.full((40, 2), 23.0)], axis=1)
    assert (model.trust(inside[:, :, :23], shared) == 1.0).all()


@pytest.mark.parametrize(
    "told", ["", "[0:1] [0:1] [0:1]", "[0:1] [0:1] [0:1] [1:0]", "[0:1] [0:1] [0:1] [0:x]", "a b c d"]
)
def test_a_text_without_its_ranges_is_refused(told):
    before, name, rest = text().partition("feature_infos=")
    changed = f"{before}{name}{told}\n{rest.partition(chr(10))[2]}"

    with pytest.raises(ArtifactError, match="a model text is damaged"):
        trees.hull(changed, NAMES)


# ---------------------------------------------------------------- texts that are refused


@cache
def text(**given):
    """Fit two trees of three leaves."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((100, len(NAMES)))
    given = {"objective": "regression", "num_leaves": 3, "verbosity": -1, "num_threads": 1} | given
    data = lightgbm.Dataset(x, np.abs(x.sum(axis=1)), feature_name=list(NAMES))
    return lightgbm.train(given, data, 2).model_to_string()


def resized(changed):
    """Make the head say how long the trees are now."""
    head, _, rest = changed.partition("tree_sizes=")
    body, end, tail = rest.partition("\n\n")[2].partition("end of trees")
    sizes = " ".join(str(len("Tree=" + one)) for one in body.split("Tree=")[1:])
    return f"{head}tree_sizes={sizes}\n\n{body}{end}{tail}"


def assert_refused(changed, words):
    with pytest.raises(ArtifactError, match=words) as caught:
        trees.read(changed, NAMES)
    assert str(caught.value).endswith(("train a new version", "train a new version without"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"objective": "binary"}, "objective binary sigmoid:1, only regression is read"),
        ({"objective": "regression", "reg_sqrt": True}, "objective regression sqrt, only regression"),
        ({"objective": "multiclass", "num_class": 3}, "num_class 3, only 1 is read"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "says 'average_output', which is not read"),
        ({"linear_tree": True}, "tree [01] has linear leaves"),
        ({"zero_as_missing": True}, "tree 0 has a split to which zero is unknown"),
        ({"num_leaves": 65, "min_data_in_leaf": 1}, "tree 0 has 65 leaves, 1 to 64 are read"),
    ],
)
def test_another_kind_of_model_is_refused(given, words):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((300, len(NAMES)))
    y = np.abs(x.sum(axis=1))
    y = {"multiclass": np.minimum(2, y // 1), "binary": np.minimum(1, y // 1)}.get(given.get("objective"), y)
    given = {"objective": "regression", "num_leaves": 5, "verbosity": -1, "num_threads": 1} | given
    data = lightgbm.Dataset(x, y, feature_name=list(NAMES), params={"linear_tree": "linear_tree" in given})
    assert_refused(lightgbm.train(given, data, 2).model_to_string(), words)


def test_a_categorical_split_is_refused():
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.integers(0, 5, 300), rng.standard_normal((300, 3))])
    data = lightgbm.Dataset(x, x[:, 0] % 2, feature_name=list(NAMES), categorical_feature=[0])
    made = lightgbm.train({"objective": "regression", "verbosity": -1, "num_threads": 1}, data, 1)
    assert_refused(made.model_to_string(), "tree 0 has a categorical split")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("tree\nversion", "trees\nversion", "does not begin with"),
        ("version=v4", "version=v3", "version v3, only v4 is read"),
        ("objective=regression\n", "", "objective missing, only regression"),
        ("feature_names=a b c d", "feature_names=a b d c", "other features"),
        ("feature_names=a b c d", "feature_names=a b c", "other features"),
        ("num_leaves=3", "num_leaves=4", "4 leaves and not as many numbers"),
        ("num_leaves=3", "num_leaves=many", "damaged .ValueError"),
        ("num_leaves=3", "num_leaves=0", "0 leaves, 1 to 64"),
        ("num_leaves=3\n", "", "damaged .KeyError"),
        ("left_child=", "left_child=7 ", "not as many numbers"),
        ("left_child=1 ", "left_child=0 ", "do not make a tree"),
        ("left_child=1 ", "left_child=-1 ", "do not make a tree"),
        ("split_feature=", "split_feature=4 #", "damaged .ValueError"),
        ("decision_type=2", "decision_type=18", "a split of no known type"),
        ("decision_type=2", "decision_type=3", "a categorical split"),
        ("leaf_value=", "leaf_value=nan ", "not as many numbers"),
    ],
)
def test_a_changed_text_is_refused(old, new, words):
    assert old in text()
    assert_refused(resized(text().replace(old, new, 1)), words)


@pytest.mark.parametrize(
    ("field", "word", "words"),
    [
        ("split_feature", "4", "a feature that is not there"),
        ("split_feature", "-1", "a feature that is not there"),
        ("threshold", "nan", "a number that is not finite"),
        ("leaf_value", "inf", "a number that is not finite"),
        ("leaf_value", "0.1.2", "damaged .ValueError"),
        ("right_child", "9", "do not make a tree"),
    ],
)
def test_a_number_that_cannot_be_is_refused(field, word, words):
    before, name, rest = text().partition(f"\n{field}=")
    old, _, after = rest.partition(" ")
    assert old
    assert_refused(resized(f"{before}{name}{word} {after}"), words)


def test_a_text_that_is_cut_short_is_refused_wherever_it_ends():
    """Up to the end of the trees, after which nothing is read."""
    whole = text()
    stop = whole.index("end of trees") + len("end of trees")
    for end in range(0, stop, 7):
        with pytest.raises(ArtifactError):
            trees.read(whole[:end], NAMES)
    assert len(trees.read(whole[: stop + 1], NAMES)) == 2


def test_a_tree_of_another_length_than_its_head_says_is_refused():
    assert_refused(text().replace("shrinkage=1", "shrinkage=10", 1), "tree 1 is not where its head says")
    assert_refused(text().replace("shrinkage=0.1", "shrinkage=0.10"), "its trees do not end where its head says")
    assert_refused(text().replace("Tree=1", "Tree=2"), "tree 1 is not where its head says")
    assert_refused(
        text().split("\n\n")[0].replace("tree_sizes=", "tree_sizes= #").split(" #")[0] + "\n\n", "it has no tree"
    )
