"""A venue that numbers orders and keeps no id of ours: Roostoo's client against the sandbox's Roostoo, without sockets.

Everything of the client is real (signing, limiter, retries of reads, understanding); everything of the venue is the
sandbox's own arithmetic. Between them stands a wire that loses answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlparse

import orjson

from evenkeel.errors import VenueError, VenueUnknownError
from evenkeel.sandbox import roostoo as sandbox
from evenkeel.sandbox.exchange import Exchange
from evenkeel.venues.limiter import Limiter
from evenkeel.venues.one_request import Answer, Request
from evenkeel.venues.roostoo import Roostoo
from evenkeel.venues.roostoo_wire import Credentials, Wire
from faults.account import ME, Account
from faults.clockwork import Points
from faults.trouble import Trouble

URL = "http://venue.invalid"
_ANSWERS: dict[str, Callable[[Exchange, sandbox.Call], dict[str, Any]]] = {
    "serverTime": lambda _, call: {"ServerTime": int(call.told * 1000)},
    "exchangeInfo": sandbox.exchange_info,
    "ticker": sandbox.ticker,
    "balance": sandbox.balance,
    "pending_count": sandbox.pending_count,
    "place_order": sandbox.place_order,
    "query_order": sandbox.query_order,
    "cancel_order": sandbox.cancel_order,
}


@dataclass
class Cable:
    """Carries a request to the account and the answer back, or not.

    tag    whose order is on its way, as only the simulation knows
    left   told when a request to place leaves
    """

    account: Account
    points: Points
    trouble: Trouble
    left: Callable[[str, str, Decimal, bool], None]
    tag: str = ""

    def carry(self, _connect: object, request: Request, _limit_s: float) -> Answer:
        """In the place of a socket."""
        name = urlparse(request.url).path.rpartition("/")[2]
        text = request.form.decode() if request.form else urlparse(request.url).query
        params, tag = dict(parse_qsl(text)), self.tag
        if name == "place_order":
            sign = 1 if params["side"] == "BUY" else -1
            asset, limit = params["pair"].removesuffix("/USD"), params["type"] == "LIMIT"
            self.left(tag, asset, sign * Decimal(params["quantity"]), limit)
        self.points.at(f"venue {name} request")
        how = self.trouble.of_call(name)
        self._elapse(how.there_s)
        if how.kind == "late":
            self._at_last(how.late_s, lambda: self._asked(name, params, request.headers, tag, how.hidden_s))
            self._elapse(how.back_s)
            raise VenueUnknownError("no answer in time")
        answer = None
        if not how.kind.endswith("before"):
            answer = self._asked(name, params, request.headers, tag, how.hidden_s)
            self.points.at(f"venue {name} answer")
        self._elapse(how.back_s)
        return _spoiled(how.kind, answer)

    def _elapse(self, seconds: float) -> None:
        self.account.clock.elapse(seconds)

    def _at_last(self, seconds: float, deed: Callable[[], object]) -> None:
        clock = self.account.clock
        clock.at(clock.now + seconds, lambda: deed() and None)

    def _asked(self, name: str, params: dict[str, str], headers: Any, tag: str, hidden_s: float) -> Answer:
        """What the venue makes of a request when it arrives."""
        now, ledger = self.account.clock.now, self.account.ledger
        refusal = _refusal(name, params, headers, now)
        if refusal:
            return _said({"Success": False, "ErrMsg": refusal})
        scope = {"state": {"struck": self.trouble.of_pairs(now)}}
        before = ledger.orders.keys() | set()
        if name == "cancel_order":
            self.account.race(int(params["order_id"]))
        try:
            document = _ANSWERS[name](ledger, sandbox.Call(ME, now, now, params, scope))
        except VenueError as error:
            document = {"Success": False, "ErrMsg": str(error)}
        self.account.own(before, tag, hidden_s)
        return _said(document)


KEYS = sandbox.account(ME, 0)


def _refusal(name: str, params: dict[str, str], headers: Any, now: float) -> str:
    """The desk's checks: time stamp and signature."""
    if name in ("serverTime", "exchangeInfo"):
        return ""
    if abs(now * 1000 - int(params["timestamp"])) > 60_000:
        return "timestamp out of window"
    signed = {key: value for key, value in params.items() if key in sandbox.DOCUMENTED[name]}
    fits = name == "ticker" or headers["MSG-SIGNATURE"] == sandbox.signature(KEYS.secret, signed)
    return "" if fits else "signature mismatch"


def _said(document: dict[str, Any]) -> Answer:
    return Answer(200, orjson.dumps(document), None)


def _spoiled(kind: str, answer: Answer | None) -> Answer:
    """What reaches us."""
    word = kind.partition(" ")[0]
    if word == "lost":
        raise VenueUnknownError("the connection was reset")
    if word == "error":
        return Answer(502, b"<html>bad gateway</html>", None)
    if word == "page":
        return Answer(200, b"<html>come back later</html>", None)
    if word == "busy":
        return Answer(429, b"too many requests", 5.0)
    assert answer is not None, kind
    return answer


class Numbered(Roostoo):
    """The real client; `send` tells the cable whose order is coming."""

    def __init__(self, cable: Cable) -> None:
        clock = cable.account.clock
        limiter = Limiter(25, clock=lambda: clock.now, wait=lambda _, wait_s: clock.skip(wait_s))
        keys = Credentials(KEYS.key, KEYS.secret)
        super().__init__(
            Wire(keys, limiter, base_url=URL, clock=clock.wall, sleep=clock.elapse, carry=cable.carry)
        )  # fmt: skip
        self._cable = cable

    def send(self, order: Any, time: int, *args: Any, **named: Any) -> Any:
        """As the real one."""
        before, self._cable.tag = self._cable.tag, order.id
        try:
            return super().send(order, time, *args, **named)
        finally:
            self._cable.tag = before
