"""PPO of stable-baselines3 on a `Batch`, one round at a time: a round is one window of every book, then the updates.

A learner between two rounds is its networks, its optimiser, the state of two generators of chance and the number of
draws of the batch. `saved` and `restore` carry just these, as plain arrays, so that a training that was killed, or that
goes on in another process, comes to the same bits. That holds on a CPU with one thread, which is asked of torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from sb3_contrib.ppo_mask import MlpPolicy as MaskableNetworks
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.ppo import MlpPolicy as Networks

from evenkeel.research.adam import Adam
from evenkeel.research.env.batch import Batch
from evenkeel.research.env.vec import SlotVecEnv, action_space, observation_space
from evenkeel.signals.actor import DIRECTIONS, MOVES, Actor, Inputs
from evenkeel.signals.policy import MARKET, Scale
from evenkeel.types import Array, BoolArray

State = Mapping[str, NDArray[Any]]
"""A learner between two rounds, or its networks alone, as named arrays."""

NET = "net/"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class PpoSettings:
    """How a learner learns. books  stepped together · batch  samples per update · epochs  passes over a round.

    rate  of Adam · gamma, lam  of the generalised advantage estimate · clip  of the ratio · entropy  its weight
    widths  hidden layers of actor and critic
    """

    books: int = 256
    batch: int = 4_096
    epochs: int = 6
    rate: float = 1e-3
    gamma: float = 0.97
    lam: float = 0.95
    clip: float = 0.2
    entropy: float = 0.0
    widths: tuple[int, ...] = (64, 64)


class Learner:
    """A PPO, or a MaskablePPO where the lesson is discrete, and the batch that it learns on."""

    def __init__(self, batch: Batch, settings: PpoSettings, seed: int) -> None:
        """A new learner; `seed` decides everything."""
        torch.set_num_threads(1)
        kind = MaskablePPO if batch.lesson.discrete else PPO
        self.batch = batch
        self.model: Any = kind(
            "MlpPolicy",
            SlotVecEnv(batch),
            n_steps=batch.lesson.bars,
            batch_size=_equal_parts(batch.lesson.bars * batch.count, settings.batch),
            n_epochs=settings.epochs,
            learning_rate=settings.rate,
            gamma=settings.gamma,
            gae_lambda=settings.lam,
            clip_range=settings.clip,
            ent_coef=settings.entropy,
            policy_kwargs=_shape(settings),
            seed=seed,
            device="cpu",
        )
        self.model.set_logger(Logger(None, []))
        self.rounds = 0
        self._chance = _chance()

    def round(self) -> float:
        """One window of every book, and what is learned from it. -> mean reward of a window."""
        steps = self.batch.count * self.batch.lesson.bars
        _take(self._chance)  # the library draws from generators of the whole process, which others may have used
        self.model.learn(steps, reset_num_timesteps=self.rounds == 0)
        self.rounds += 1
        self._chance = _chance()
        return float(self.model.rollout_buffer.rewards.mean(dtype=np.float64)) * self.batch.lesson.bars

    def prefer(self, regime: str, scale: Scale) -> None:
        """Learn from each step as much as `regime` was probable then.

        Advantages are normalised over the whole round before they are weighted: normalising each minibatch afterwards,
        as stable-baselines3 does, would take part of the weights back.
        """
        self.model.normalize_advantage = False
        buffer = self.model.rollout_buffer
        finish = buffer.compute_returns_and_advantage

        def weighted(*given: Any, **named: Any) -> None:
            finish(*given, **named)
            plain = buffer.advantages
            likely = probabilities(buffer.observations, scale)[..., DIRECTIONS.index(regime)]
            buffer.advantages = ((plain - plain.mean()) / (plain.std() + 1e-8) * likely).astype(np.float32)

        buffer.compute_returns_and_advantage = weighted

    def actor(self) -> Actor:
        """The network as it stands."""
        return actor_of(self.model)

    def networks(self) -> State:
        """Weights of actor and critic."""
        return {NET + name: x.detach().numpy().copy() for name, x in self.model.policy.state_dict().items()}

    def begin(self, networks: State) -> None:
        """Take over weights, before the first round."""
        self.model.policy.load_state_dict(_tensors(networks))

    def saved(self) -> State:
        """Everything that the next round depends on."""
        out = dict(self.networks())
        for number, moments in self.model.policy.optimizer.state_dict()["state"].items():
            out |= {f"adam/{number}/{name}": moments[name].numpy().copy() for name in _MOMENTS}
        counts = np.array((self.rounds, self.batch.draws, self.model.num_timesteps), dtype=np.int64)
        return out | self._chance | {"counts": counts}

    def restore(self, saved: State) -> None:
        """Stand where `saved` stood. Raises KeyError, ValueError or RuntimeError for arrays that do not fit."""
        self.begin(saved)
        self._remember(saved)
        self.rounds, draws, self.model.num_timesteps = (int(x) for x in saved["counts"])
        self._chance = {name: saved[name] for name in self._chance}
        if self.rounds:
            self.batch.draws = draws - 1  # the windows that stand open were the last that were drawn
            self.model._last_obs = self.batch.reset()  # noqa: SLF001 - what learn() goes on from
            self.model._last_episode_starts = np.ones(self.batch.count, dtype=bool)  # noqa: SLF001

    def _remember(self, saved: State) -> None:
        optimizer = self.model.policy.optimizer
        numbers = sorted({int(name.split("/")[1]) for name in saved if name.startswith("adam/")})
        state = {
            number: {name: torch.from_numpy(saved[f"adam/{number}/{name}"].copy()) for name in _MOMENTS}
            for number in numbers
        }
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _equal_parts(steps: int, largest: int) -> int:
    """The largest size, up to `largest`, of equal minibatches."""
    return next(size for size in range(min(steps, largest), 0, -1) if steps % size == 0)


def actor_of(model: Any) -> Actor:
    """The actor's layers out of a stable-baselines3 model."""
    return _layers(model.policy)


def actor_in(networks: State, settings: PpoSettings, *, discrete: bool) -> Actor:
    """The actor's layers out of saved networks."""
    return _layers(_policy(networks, settings, discrete=discrete))


def predicted(networks: State, settings: PpoSettings, seen: Inputs, allowed: BoolArray, *, discrete: bool) -> Array:
    """(B,) what stable-baselines3's own deterministic predict does, as actions in [-1, 1].

    seen (B, O) observations · allowed (B, 3) which of BUY, SELL, HOLD may be chosen
    """
    policy = _policy(networks, settings, discrete=discrete)
    if discrete:
        chosen, _ = policy.predict(seen, deterministic=True, action_masks=allowed)
        moves: Array = MOVES[chosen]
        return moves
    action, _ = policy.predict(seen, deterministic=True)
    return np.asarray(action, dtype=np.float64)[:, 0]


def probabilities(observations: Inputs, scale: Scale) -> Array:
    """(..., 3) probabilities of DIRECTIONS that standardised observations (..., O) were made of."""
    first = MARKET.index(f"p_{DIRECTIONS[0]}")
    at = slice(first, first + len(DIRECTIONS))
    likely: Array = observations[..., at] * scale.sd[at] + scale.mean[at]
    return likely


def _chance() -> dict[str, NDArray[Any]]:
    """The generators that stable-baselines3 draws from, as they stand."""
    said: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    place = np.array([said["state"]["pos"], said["has_gauss"]], dtype=np.int64)
    return {
        "torch": torch.get_rng_state().numpy().copy(),
        "numpy": said["state"]["key"].copy(),
        "numpy_place": place,
        "numpy_gauss": np.array([said["gauss"]], dtype=np.float64),
    }


def _take(chance: State) -> None:
    """Let them stand there."""
    torch.set_rng_state(torch.from_numpy(chance["torch"].copy()))
    place, has_gauss = (int(x) for x in chance["numpy_place"])
    np.random.set_state(  # noqa: NPY002
        ("MT19937", chance["numpy"], place, has_gauss, float(chance["numpy_gauss"][0]))
    )


def _policy(networks: State, settings: PpoSettings, *, discrete: bool) -> Any:
    """Networks of stable-baselines3 with these weights."""
    kind = MaskableNetworks if discrete else Networks
    policy: Any = kind(
        observation_space(), action_space(discrete=discrete), lambda _: settings.rate, **_shape(settings)
    )
    policy.load_state_dict(_tensors(networks))
    return policy


def _shape(settings: PpoSettings) -> dict[str, Any]:
    """What networks are made of, and what moves them."""
    return {"net_arch": list(settings.widths), "optimizer_class": Adam, "optimizer_kwargs": {"eps": 1e-5}}


def _layers(policy: Any) -> Actor:
    hidden = [x for x in policy.mlp_extractor.policy_net if isinstance(x, torch.nn.Linear)]
    return Actor(tuple((_array(x.weight), _array(x.bias)) for x in (*hidden, policy.action_net)))


def _tensors(networks: State) -> dict[str, torch.Tensor]:
    return {name.removeprefix(NET): torch.from_numpy(x.copy()) for name, x in networks.items() if name.startswith(NET)}


def _array(x: torch.Tensor) -> NDArray[np.float32]:
    return x.detach().numpy().astype(np.float32, copy=True)
