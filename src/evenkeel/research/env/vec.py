"""A `Batch` as a vectorised environment of stable-baselines3: thousands of books, no worker processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from evenkeel.research.env.batch import SHAPE, Batch
from evenkeel.signals.policy import CLIP
from evenkeel.types import Array


def observation_space() -> spaces.Box:
    """All observations, standardised."""
    return spaces.Box(-CLIP, CLIP, shape=SHAPE, dtype=np.float32)


def action_space(*, discrete: bool) -> spaces.Space[Any]:
    """BUY, SELL, HOLD, or one number in [-1, 1]."""
    return spaces.Discrete(3) if discrete else spaces.Box(-1.0, 1.0, shape=(1,), dtype=np.float32)


class SlotVecEnv(VecEnv):
    """All books of a batch. A window that ends opens a new one; its end is a truncation, never a loss of the future."""

    render_mode = None

    def __init__(self, batch: Batch) -> None:
        """Take over a batch."""
        self.batch = batch
        super().__init__(batch.count, observation_space(), action_space(discrete=batch.lesson.discrete))
        self._quiet: list[dict[str, Any]] = [{} for _ in range(batch.count)]
        self._actions: Array = np.zeros(batch.count)

    def reset(self) -> np.ndarray[Any, Any]:
        """Open all books anew."""
        return self.batch.reset()

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Keep the actions, (B, 1) or (B,)."""
        self._actions = np.asarray(actions, dtype=np.float64).reshape(self.num_envs)

    def step_wait(self) -> Any:
        """Do them all -> observations, rewards, ends, infos."""
        came = self.batch.step(self._actions)
        infos = self._quiet
        if came.done.any():
            infos = [
                {"terminal_observation": last, "TimeLimit.truncated": True} if done else {}
                for last, done in zip(came.last, came.done.tolist(), strict=True)
            ]
        return came.seen, came.reward.astype(np.float32), came.done, infos

    def close(self) -> None:
        """Nothing is open."""

    def action_masks(self) -> np.ndarray[Any, Any]:
        """(B, 3) for MaskablePPO."""
        return self.batch.allowed()

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """`action_masks` of all books; there are no other methods."""
        del args, indices, kwargs
        if method_name != "action_masks":
            raise AttributeError(method_name)
        return self.action_masks()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the batch, once for each book that is asked."""
        value = getattr(self.batch, attr_name) if hasattr(self.batch, attr_name) else getattr(self, attr_name)
        return [value for _ in self._which(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Books have nothing that could be set from outside."""
        del value, indices
        raise AttributeError(attr_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """No book is wrapped."""
        del wrapper_class
        return [False for _ in self._which(indices)]

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Chance of the batch: windows and budgets drawn from now on."""
        if seed is not None:
            self.batch.seed, self.batch.draws = seed, 0
        return [seed] * self.num_envs

    def _which(self, indices: Any) -> Iterable[int]:
        return self._get_indices(indices)
