"""One line of a page of evidence: what was looked at, what came of it, and what would have been too much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["ok", "failed", "not judged"]


@dataclass(frozen=True, slots=True)
class Check:
    """A named check. figure is compared with limit as `text` says; NaN = there is none."""

    name: str
    verdict: Verdict
    figure: float
    limit: float
    text: str

    @property
    def failed(self) -> bool:
        """Whether evidence ends here."""
        return self.verdict == "failed"

    def to_json(self) -> dict[str, Any]:
        """Fields; null = there is no figure."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "figure": self.figure if math.isfinite(self.figure) else None,
            "limit": self.limit if math.isfinite(self.limit) else None,
            "text": self.text,
        }


def judged(name: str, figure: float, limit: float, text: str, *, good: bool) -> Check:
    """A check with a verdict."""
    return Check(name, "ok" if good else "failed", figure, limit, text)
