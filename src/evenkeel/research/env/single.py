"""One book as a gymnasium environment: the same step, for the checkers and for whoever wants to play with it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from evenkeel.research.env.batch import Batch
from evenkeel.research.env.vec import action_space, observation_space
from evenkeel.types import BoolArray


class SlotEnv(gymnasium.Env[Any, Any]):
    """A batch of one book."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium's interface

    def __init__(self, batch: Batch) -> None:
        """Take over a batch of one."""
        if batch.count != 1:
            raise ValueError(f"a single environment needs a batch of 1 book, this one has {batch.count}")
        self.batch = batch
        self.observation_space = observation_space()
        self.action_space = action_space(discrete=batch.lesson.discrete)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A new window -> observation."""
        super().reset(seed=seed)
        del options
        if seed is not None:
            self.batch.seed, self.batch.draws = seed, 0
        return self.batch.reset()[0], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One bar -> observation, reward, never terminated, truncated at the window's end."""
        came = self.batch.step(np.asarray(action, dtype=np.float64).reshape(1))
        return came.last[0], float(came.reward[0]), False, bool(came.done[0]), {}

    def action_masks(self) -> BoolArray:
        """(3,) which of BUY, SELL, HOLD may be chosen now."""
        mask: BoolArray = self.batch.allowed()[0]
        return mask
