"""What does Roostoo answer to a call? A reply, an empty one for "there is none", or one of two errors.

VenueError: the venue, or we, refused in words and nothing was placed. VenueUnknownError: everything else, so what
happened is not known. The law: reads may be asked again, an order leaves once; no secret stands in any text.
Numbers stay exact: fractions are Decimal, whole numbers int. Source: specs/roostoo.md sections 1 to 3.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import requests

from evenkeel.errors import AccessRefusedError, VenueError, VenueUnknownError
from evenkeel.venues.limiter import Limiter, Priority
from evenkeel.venues.one_request import Answer, Connect, Request, exchange, sends_once

BASE_URL = "https://mock-api.roostoo.com"
Params = Mapping[str, str]
Reply = Mapping[str, Any]
"""The JSON object of an answer; empty = there is none of what was asked for."""
T = TypeVar("T")

_TRIES = 3
_FIRST_WAIT_S = 1.0
_HOLD_S = 10.0
_LONGEST_HOLD_S = 60.0
_TURN_WITHIN_S = 120.0
_CLOCK_GOOD_S = 3_600.0
_CLOCK_NOISE_S = 1.0
# Texts that say what was wrong: after any other refusal our clock may be the reason.
_PLAIN_WORDS = frozenset(
    {"quantity step size error", "quantity error", "insufficient balance", "pair not found"}
    | {"your do not have permission to trade"}
)


class RefusedError(VenueError):
    """The venue's own words of refusal."""


class _AgainError(VenueUnknownError):
    """Too many calls; nobody should call for `wait_s`."""

    def __init__(self, text: str, wait_s: float) -> None:
        super().__init__(text)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call of the API.

    signed   carries the key and a signature · stamped  carries our time (every signed call does)
    judged   every answer says `Success`     · empty    the refusal that means "there is none"
    once     changes something, so it is never repeated
    """

    method: str
    path: str
    signed: bool = True
    stamped: bool = True
    judged: bool = True
    empty: str = ""
    once: bool = False


SERVER_TIME = Endpoint("GET", "/v3/serverTime", signed=False, stamped=False, judged=False)
EXCHANGE_INFO = Endpoint("GET", "/v3/exchangeInfo", signed=False, stamped=False, judged=False)
TICKER = Endpoint("GET", "/v3/ticker", signed=False)
BALANCE = Endpoint("GET", "/v3/balance")
PENDING_COUNT = Endpoint("GET", "/v3/pending_count", empty="no pending order under this account")
PLACE_ORDER = Endpoint("POST", "/v3/place_order", once=True)
QUERY_ORDER = Endpoint("POST", "/v3/query_order", empty="no order matched")
CANCEL_ORDER = Endpoint("POST", "/v3/cancel_order", empty="no order canceled", once=True)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The account's key and secret; shown by neither `repr` nor errors. Raises VenueError if they cannot be keys."""

    key: str = field(repr=False)
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        for name, value in (("key", self.key), ("secret", self.secret)):
            if len(value) < 16 or not (value.isascii() and value.isprintable()) or " " in value:
                raise VenueError(f"roostoo's API {name} is no key: 64 letters and digits are expected, without spaces")

    def hidden_in(self, text: str) -> str:
        """The text without the key and the secret."""
        return text.replace(self.secret, "***").replace(self.key, "***")


def total_params(params: Params) -> str:
    """What is signed: `k=v` sorted by name and joined with `&`, values as they are."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params))


def signature(secret: str, params: Params) -> str:
    """HMAC-SHA256 of the total parameters, lowercase hex."""
    return hmac.new(secret.encode(), total_params(params).encode(), "sha256").hexdigest()


def request_of(endpoint: Endpoint, params: Params, base_url: str, account: Credentials) -> Request:
    """The request of a call: parameters in the query string of a GET, as a form in the body of a POST."""
    headers = {"User-Agent": "evenkeel", "Accept": "application/json"}
    if endpoint.signed:
        headers |= {"RST-API-KEY": account.key, "MSG-SIGNATURE": signature(account.secret, params)}
    url, form = base_url + endpoint.path, urlencode(sorted(params.items()))
    if endpoint.method == "GET":
        return Request("GET", f"{url}?{form}" if form else url, headers)
    return Request("POST", url, headers | {"Content-Type": "application/x-www-form-urlencoded"}, form.encode())


def understood(endpoint: Endpoint, answer: Answer, hidden: Callable[[str], str] = str) -> Reply:
    """The reply in an answer; empty = there is none of what was asked for.

    hidden  takes what must not be shown out of the venue's words
    Raises RefusedError for a refusal in words, AccessRefusedError, VenueUnknownError for everything else.
    """
    status, reply = answer.status, _json(answer.body)
    refusal = _refusal(reply, hidden)
    if status in {418, 429}:
        wait_s = _HOLD_S if answer.retry_after_s is None else answer.retry_after_s
        raise _AgainError(f"too many calls (HTTP {status})", wait_s)
    if status in {401, 403, 451}:
        raise AccessRefusedError(f"no access (HTTP {status}) {refusal}".rstrip() + ": check the API key and its rights")
    if refusal and (status == 200 or 400 <= status < 500) and status not in {408, 425}:
        if endpoint.empty and refusal.lower() == endpoint.empty:
            return {}
        raise RefusedError(refusal)
    if status != 200:
        raise VenueUnknownError(f"HTTP {status}")
    if reply is None:
        raise VenueUnknownError("the answer is no JSON object")
    if reply.get("Success", not endpoint.judged) is not True:
        raise VenueUnknownError("the answer says neither success nor why not")
    return reply


def _json(body: bytes) -> Reply | None:
    """The JSON object in a body, or None."""
    try:
        found = json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _no_number(text: str) -> None:
    raise ValueError(text)


def _refusal(reply: Reply | None, hidden: Callable[[str], str]) -> str:
    """The venue's words of refusal on one line, or nothing."""
    if reply is None or reply.get("Success") is not False:
        return ""
    words = reply.get("ErrMsg")
    return hidden(" ".join(words.split()))[:200] if isinstance(words, str) else ""


def always() -> bool:
    """Nothing forbids the call."""
    return True


@dataclass(frozen=True)
class _Call(Generic[T]):
    endpoint: Endpoint
    meaning: Callable[[Reply], T]
    params: Params
    priority: Priority
    allowed: Callable[[], bool]


class Wire:
    """Asks Roostoo. Safe for several threads.

    account    whose calls these are · limiter  shared by everybody who calls from this account
    connect    makes a session for each request; its adapters must not repeat requests
    clock      UTC s now · sleep  waiting · timeout_s  longest that one request may take in all
    carry      brings one request there and the answer back; a simulation has no sockets
    """

    def __init__(
        self,
        account: Credentials,
        limiter: Limiter,
        *,
        connect: Connect = requests.Session,
        base_url: str = BASE_URL,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        carry: Callable[[Connect, Request, float], Answer] = exchange,
    ) -> None:
        with connect() as session:
            if not sends_once(session, base_url):
                raise VenueError("the HTTP session repeats requests on its own: mount adapters with max_retries=0")
        self._account, self._connect, self._limiter = account, connect, limiter
        self._base_url, self._timeout_s, self._clock, self._sleep = base_url, timeout_s, clock, sleep
        self._carry = carry
        self._measured: tuple[float, float] | None = None

    @property
    def waited(self) -> float:
        """Seconds for which the calling thread has waited for its turns so far."""
        return self._limiter.waited

    def ask(
        self,
        endpoint: Endpoint,
        meaning: Callable[[Reply], T],
        params: Params | None = None,
        *,
        priority: Priority,
        allowed: Callable[[], bool] = always,
    ) -> T:
        """What the reply means. A read is tried three times, anything else once.

        meaning  reads the reply and raises VenueUnknownError if it cannot
        allowed  asked when the call's turn has come, just before the socket; False = it is not sent
        Raises VenueError (refused, or not sent at all) and VenueUnknownError.
        """
        name = f"roostoo {endpoint.path.removeprefix('/v3/')}"
        try:
            call = _Call(endpoint, meaning, params or {}, priority, allowed)
            return self._in_time(call) if endpoint.signed else self._tried(call, 0.0)
        except VenueUnknownError as error:
            raise VenueUnknownError(f"{name}: {error}") from None
        except AccessRefusedError as error:
            raise AccessRefusedError(f"{name}: {error}") from None
        except VenueError as error:
            raise VenueError(f"{name}: {error}") from None

    def offset_s(self, priority: Priority = Priority.RECONCILE) -> float:
        """Venue's clock less ours, s; measured at first need and once an hour. Raises as `ask`."""
        now = self._clock()
        if self._measured is None or abs(now - self._measured[0]) > _CLOCK_GOOD_S:
            return self._measure(priority)
        return self._measured[1]

    def _in_time(self, call: _Call[T]) -> T:
        """A signed call; a refusal that our clock may have caused makes us look at the clock, once."""
        try:
            offset_s = self.offset_s(call.priority)
        except VenueUnknownError as error:
            if call.endpoint.once:
                raise VenueError(f"not sent, the venue's time is not known ({error})") from None
            raise
        try:
            return self._tried(call, offset_s)
        except RefusedError as error:
            moved_s = 0.0 if str(error).lower() in _PLAIN_WORDS else self._moved_s(call.priority, offset_s)
            if abs(moved_s) <= _CLOCK_NOISE_S:
                raise
            if call.endpoint.once:
                raise VenueError(f"{error} (our clock was wrong by {moved_s:+.1f} s and is corrected now)") from None
            return self._tried(call, offset_s + moved_s)

    def _moved_s(self, priority: Priority, offset_s: float) -> float:
        """By how much the clocks drifted apart since the offset was measured, s; 0 if nobody can say."""
        try:
            return self._measure(priority) - offset_s
        except (VenueError, VenueUnknownError):
            return 0.0

    def _tried(self, call: _Call[T], offset_s: float) -> T:
        """One call, and again while nothing usable comes and it is a read."""
        tries = 1 if call.endpoint.once else _TRIES
        for turn in range(1, tries + 1):
            try:
                return self._once(call, offset_s)
            except _AgainError as error:
                self._limiter.hold(min(error.wait_s, _LONGEST_HOLD_S))
                if turn == tries or error.wait_s > _LONGEST_HOLD_S:
                    raise
            except VenueUnknownError:
                if turn == tries:
                    raise
                self._sleep(_FIRST_WAIT_S * 2 ** (turn - 1))
        raise AssertionError

    def _once(self, call: _Call[T], offset_s: float) -> T:
        if not self._limiter.take(call.priority, _TURN_WITHIN_S):
            raise VenueError(f"not sent, no call came free within {_TURN_WITHIN_S:.0f} s")
        if not call.allowed():
            raise VenueError("not sent, no longer allowed when its turn came")
        stamp = {"timestamp": str(int((self._clock() + offset_s) * 1000))} if call.endpoint.stamped else {}
        request = request_of(call.endpoint, {**call.params, **stamp}, self._base_url, self._account)
        answer = self._carry(self._connect, request, self._timeout_s)
        return call.meaning(understood(call.endpoint, answer, self._account.hidden_in))

    def _measure(self, priority: Priority) -> float:
        """Ask the venue's time; half of the way there and back is taken off, but no wait for our turn."""
        left = [0.0]

        def leaves() -> bool:
            left[0] = self._clock()
            return True

        def offset(reply: Reply) -> float:
            return _server_time_s(reply) - (left[0] + self._clock()) / 2

        offset_s = self.ask(SERVER_TIME, offset, priority=priority, allowed=leaves)
        self._measured = self._clock(), offset_s
        return offset_s


def _server_time_s(reply: Reply) -> float:
    server = reply.get("ServerTime")
    if type(server) is not int or len(str(server)) != 13:
        raise VenueUnknownError("ServerTime is no time in ms")
    return server / 1000
