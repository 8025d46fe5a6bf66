"""The served policy says what its trainer's network says; what it cannot have learned it does not say."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO

from evenkeel.research.env.vec import SlotVecEnv
from evenkeel.research.ppo import actor_of
from evenkeel.signals import policy
from evenkeel.signals.actor import MOVES, routed
from evenkeel.types import Health
from research.env import school
from signals.straight import line

SIZE = len(policy.NAMES)


def zeros(*shape):
    """As layers have them."""
    return np.zeros(shape, dtype=np.float32)


def trainer(discrete, seed=1):
    """An untrained network with large weights."""
    torch.manual_seed(seed)
    env = SlotVecEnv(school.books(2, discrete=discrete))
    model = (MaskablePPO if discrete else PPO)("MlpPolicy", env, seed=seed, device="cpu", n_steps=8, batch_size=16)
    with torch.no_grad():
        for weight in model.policy.parameters():
            weight.mul_(1.5).add_(0.05 * torch.randn_like(weight))
    return model


def seen(count=10_000):
    """Random observations and masks that always let HOLD."""
    rng = np.random.default_rng(4)
    allowed = rng.random((count, 3)) < 0.7
    allowed[:, 2] = True
    return rng.uniform(-5, 5, (count, SIZE)).astype(np.float32), allowed


def test_the_continuous_actor_is_the_trainers():
    model = trainer(discrete=False)
    inputs, allowed = seen()
    theirs, _ = model.predict(inputs, deterministic=True)
    ours = actor_of(model).act(inputs, allowed)
    believed = np.isfinite(ours)
    assert believed.mean() > 0.9
    np.testing.assert_allclose(ours[believed], theirs[believed, 0], atol=1e-5, rtol=0)


def test_the_discrete_actor_is_the_trainers_under_every_mask():
    model = trainer(discrete=True)
    inputs, allowed = seen()
    theirs, _ = model.predict(inputs, deterministic=True, action_masks=allowed)
    np.testing.assert_array_equal(actor_of(model).act(inputs, allowed), MOVES[theirs])


def test_one_actor_routed_to_itself_is_itself():
    for discrete in (False, True):
        actor = actor_of(trainer(discrete))
        inputs, allowed = seen(500)
        said = [actor.merits(inputs)] * 3
        alone = actor.act(inputs, allowed)
        np.testing.assert_allclose(routed(said, np.array([0.2, 0.5, 0.3]), allowed), alone, atol=1e-12)


def test_an_actor_beyond_what_it_learned_says_nothing():
    inputs, allowed = seen(3)
    inputs[:, 0] = [0.001, 1.0, np.nan]
    np.testing.assert_allclose(line(r_1=100.0).act(inputs, allowed), [0.1, np.nan, np.nan], atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([(zeros(2, 3), zeros(2)), (zeros(1, 2), zeros(1))], f"3 inputs is shown {SIZE}"),
        ([(zeros(2, SIZE), zeros(2)), (zeros(1, 3), zeros(1))], "does not follow 2 inputs"),
        ([(zeros(2, SIZE), zeros(3)), (zeros(1, 3), zeros(1))], f"does not follow {SIZE} inputs"),
        ([(zeros(2, SIZE), zeros(2)), (zeros(1, 2), zeros(1, 1))], "does not follow 2 inputs"),
        ([(zeros(SIZE), zeros(1)), (zeros(1, 1), zeros(1))], f"does not follow {SIZE} inputs"),
        ([(zeros(2, SIZE), zeros(2)), (zeros(2, 2), zeros(2))], "2 outputs"),
        ([(zeros(1, SIZE), zeros(1))], "1 layer, 2 are"),
        ([], "0 layer, 2 are"),
        ([(zeros(), zeros(1)), (zeros(1, 1), zeros(1))], "unsized"),
        ([(zeros(1, SIZE) + np.inf, zeros(1)), (zeros(1, 1), zeros(1))], "not finite"),
        ([(zeros(1, SIZE), zeros(1)), (zeros(1, 1), zeros(1) + np.nan)], "not finite"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers, said):
    with pytest.raises((ValueError, TypeError), match=said):
        policy.actor({"layers": [{"weight": weight, "bias": bias} for weight, bias in layers]})


def test_little_is_nothing_and_more_moves_the_share():
    share, action = np.array([0.5, 0.5, 0.5, 0.9]), np.array([0.09, -0.09, -0.7, 0.5])
    np.testing.assert_array_equal(policy.wanted(share, action), [np.nan, np.nan, 0.0, 1.0])


def test_the_same_inputs_are_made_for_one_slot_and_for_many():
    rng = np.random.default_rng(0)
    many = [rng.uniform(0.1, 1.0, 50) for _ in range(4)]
    own = policy.Own(many[0], many[1], many[2], many[3], rng.uniform(0, 1e6, 50), rng.random(50) < 0.5, 1e4 * many[0])
    rows = policy.own_part(own)
    for i in range(50):
        one = policy.Own(*(np.atleast_1d(getattr(own, name)[i]) for name in policy.Own.__slots__))
        np.testing.assert_array_equal(policy.own_part(one)[0], rows[i])
    assert (np.abs(rows) <= policy.CLIP).all()


def model(**changes):
    """A served model that always buys."""
    one = {"version": "v1", "digest": "d" * 64, "actors": {"general": line(0.8)}, "train_end": 1_000,
           "scale": policy.Scale(np.zeros(len(policy.MARKET)), np.ones(len(policy.MARKET))), "window_s": 3_600,
           "expires": 10**10, "strength": 0.01, "manifest": {}}  # fmt: skip
    return policy.PolicyModel(**{**one, **changes})


def view(time=100_000, size=3):
    """As much of a view as the policy reads."""
    return SimpleNamespace(
        time=time, assets=("A", "B", "C"), features=np.zeros((size, 23)), market=np.zeros(8), regime=np.full(6, 1 / 3),
        vol=np.array([0.5, np.nan, 0.5]), fault=np.zeros(size, dtype=np.int8), price=np.ones(size),
    )  # fmt: skip


def own(size=3):
    """Nothing held."""
    zero = np.zeros(size)
    return policy.Own(zero, np.ones(size), zero * np.nan, zero + 0.05, zero, zero > 0, zero + 1e4)


def said(of, time=100_000):
    """What is proposed for three empty slots of a tenth each."""
    return policy.propose(of, view(time), own(), np.full(3, 0.1), np.ones(3, dtype=bool))


def test_an_action_is_the_opinion_and_its_weight_the_wish():
    told = said(model())
    np.testing.assert_allclose(told.opinion.x, [0.8, np.nan, 0.8], atol=1e-6)
    np.testing.assert_allclose(told.wanted, [0.08, np.nan, 0.08], atol=1e-6)
    assert (told.opinion.health, told.opinion.strength) == (Health.OK, 0.01)


def test_before_its_lessons_end_and_after_it_expired_it_does_not_count():
    early = said(model(train_end=100_000))
    assert early.opinion.health is Health.MISSING
    assert np.isnan(early.opinion.x).all()
    assert np.isnan(early.wanted).all()
    late = said(model(expires=100_000 - 12 * 3_600))
    assert late.opinion.health is Health.OK
    assert late.opinion.strength == pytest.approx(0.005)
    assert "50% of its weight is left" in late.opinion.reason
    assert said(model(expires=0)).opinion.health is Health.EXPIRED


def test_what_is_beyond_belief_is_neutral_and_said():
    told = said(model(actors={"general": line(9.0)}))
    np.testing.assert_array_equal(told.opinion.x, [0.0, np.nan, 0.0])
    assert np.isnan(told.wanted).all()
    assert told.opinion.reason == "neutral on A, C: beyond what was learned"


def test_serving_needs_no_torch():
    heavy = {"torch", "stable_baselines3", "gymnasium", "numba"}
    code = f"import sys, evenkeel.signals.policy; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
