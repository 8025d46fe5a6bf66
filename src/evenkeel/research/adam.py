"""Adam for small networks: torch's formula on one flat vector, without torch's compiler.

`torch.optim` imports the compiler at its first step, which takes longer than a round of lessons, and walks through the
parameters one by one. Here all of them are views of one vector, moved by five operations. What stable-baselines3 asks
of an optimiser is kept, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch


class Adam:
    """Kingma and Ba 2015, as `torch.optim.Adam` without weight decay."""

    def __init__(
        self, params: Iterable[torch.Tensor], lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        """Take over the parameters: they become views of one vector."""
        self.betas, self.eps = betas, eps
        self.param_groups: list[dict[str, Any]] = [{"params": list(params), "lr": lr}]
        self._flat = torch.cat([one.detach().reshape(-1) for one in self._params])
        end = 0
        for one in self._params:
            start, end = end, end + one.numel()
            one.data = self._flat[start:end].view(one.shape)
        self._steps = 0
        self._first, self._second = torch.zeros_like(self._flat), torch.zeros_like(self._flat)

    @property
    def _params(self) -> list[torch.Tensor]:
        params: list[torch.Tensor] = self.param_groups[0]["params"]
        return params

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for one in self._params:
            one.grad = None

    def step(self) -> None:
        """Move along the gradients, all of which must be known."""
        slope = torch.cat([_slope(one) for one in self._params])
        self._steps += 1
        fade, fade_second = self.betas
        self._first.lerp_(slope, 1.0 - fade)
        self._second.mul_(fade_second).addcmul_(slope, slope, value=1.0 - fade_second)
        spread = (self._second.sqrt() / math.sqrt(1.0 - fade_second**self._steps)).add_(self.eps)
        self._flat.addcdiv_(self._first, spread, value=-self.param_groups[0]["lr"] / (1.0 - fade**self._steps))

    def state_dict(self) -> dict[str, Any]:
        """As torch's, of one parameter; no state before the first step."""
        moments = {
            "step": torch.tensor(float(self._steps)), "exp_avg": self._first, "exp_avg_sq": self._second
        }  # fmt: skip
        return {"state": {0: moments} if self._steps else {}, "param_groups": []}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Stand where `saved` stood. Raises RuntimeError where it is of other parameters."""
        if saved["state"]:
            moments = saved["state"][0]
            self._steps = int(moments["step"])
            self._first.copy_(moments["exp_avg"])
            self._second.copy_(moments["exp_avg_sq"])


def _slope(one: torch.Tensor) -> torch.Tensor:
    if one.grad is None:
        raise RuntimeError("a parameter has no gradient: every loss must reach all of them")
    return one.grad.reshape(-1)
