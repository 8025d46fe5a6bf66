"""A language model as a second critic of bets: numbers about a bet in, the part of it that may stay out.

It may veto or shrink and nothing else: what it says above 1 is 1. Late, unreachable, refused or not understood, it says
1, and so the rules' verdict stands; every answer comes with a note that is kept. No text of a market is shown to it, so
that nobody can speak to it through a title. It sees the present only and is never asked in a back-test.
"""

from __future__ import annotations

import json
import math
import queue
import threading
from collections.abc import Mapping
from typing import Any, Final

from evenkeel.errors import NotReadyError
from evenkeel.events.bets import Bet, Judgement
from evenkeel.events.board import Ladders

RULES: Final = 1.0
"""What is said where nothing was heard."""
_TASK: Final = (
    "You check one proposed purchase of event contracts before it is sent. A statistical model proposed it and fixed "
    "rules passed it. You see numbers only. Answer with one JSON object and nothing else: "
    '{"factor": number from 0 (veto) to 1 (leave it), "reason": "one short sentence"}. '
    "You cannot enlarge the purchase. Veto or shrink it if the numbers look inconsistent: a stale or one-sided quote, "
    "a fair value far from a tight two-sided market, a cost that leaves hardly any edge."
)
_LONGEST: Final = 200


class Mind:
    """Asks a language model through its vendor's SDK, once, with a deadline for everything together.

    key  of the API · model  its name · url  another address, `` = the vendor's · timeout_s  for the whole answer
    Raises NotReadyError where the SDK is not installed.
    """

    def __init__(self, key: str, model: str, *, url: str = "", timeout_s: float = 10.0) -> None:
        try:
            from anthropic import Anthropic  # noqa: PLC0415 - an extra: only who wants it needs it
        except ImportError as error:
            raise NotReadyError("the critic llm needs anthropic: pip install 'evenkeel[llm]'") from error
        self._model, self._timeout_s = model, timeout_s
        self._client = Anthropic(api_key=key, base_url=url or None, timeout=timeout_s, max_retries=0)

    def __call__(self, bet: Bet, board: Ladders) -> Judgement:
        """Its judgement of a bet; the rules' where there is none in time."""
        answer: queue.Queue[Judgement] = queue.Queue()
        told = json.dumps(shown(bet, board))
        threading.Thread(target=lambda: answer.put(self._asked(told)), name="llm", daemon=True).start()
        try:
            return answer.get(timeout=self._timeout_s)
        except queue.Empty:
            return Judgement(RULES, f"no answer within {self._timeout_s:g} s: the rules' verdict stands")

    def _asked(self, told: str) -> Judgement:
        from anthropic import AnthropicError  # noqa: PLC0415 - see above

        try:
            reply = self._client.messages.create(
                model=self._model, max_tokens=300, system=_TASK, messages=[{"role": "user", "content": told}]
            )
            return heard("".join(part.text for part in reply.content if part.type == "text"))
        except (AnthropicError, ValueError, AttributeError, TypeError) as error:  # the SDK lets other bodies through
            return Judgement(RULES, f"not heard ({type(error).__name__}): the rules' verdict stands")


def shown(bet: Bet, board: Ladders) -> Mapping[str, Any]:
    """The numbers of a bet, USD and probabilities, rounded; tickers, and no text."""
    legs = []
    for row, leg in zip(bet.rows, bet.legs, strict=True):
        legs.append({
            "ticker": leg.ticker, "side": leg.side, "price": float(leg.price), "contracts": float(leg.count),
            "fee": float(leg.fee), "model_probability": round(leg.fair, 4), "market_mid": round(leg.market, 4),
            "staked_probability": round(leg.p, 4), "edge": round(leg.edge, 4),
            "spread": round(float(board.spread[row]), 4), "seconds_to_close": float(board.left[row]),
            "quote_age_s": float(board.age[row]),
        })  # fmt: skip
    return {"event": bet.legs[0].event, "legs": legs, "cost": float(bet.cost)}


def heard(text: str) -> Judgement:
    """What an answer says: a factor in [0, 1] and why; the rules' verdict for an answer that is none."""
    begin, end = text.find("{"), text.rfind("}")
    try:
        said = json.loads(text[begin : end + 1])
        factor, reason = said["factor"], str(said.get("reason", ""))[:_LONGEST]
    except (ValueError, KeyError, TypeError, AttributeError):
        factor, reason = None, ""
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor):
        return Judgement(RULES, f"not understood ({text[:40]!r}): the rules' verdict stands")
    if factor > 1:
        return Judgement(RULES, f"wanted {factor:g} times as much, which it may not: {reason}")
    return Judgement(max(float(factor), 0.0), reason)
