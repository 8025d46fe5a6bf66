"""How is one request made at an exchange, and what does its answer mean? A line: requests one after the other.

A line is a ccxt exchange over an HTTP session of its own, so a slow answer on one holds up nobody on another. The laws:
`once` touches the socket at most once, whatever happens, and calls refused only what the exchange is known to refuse
before it books anything; `read` may ask again; a request that was given up keeps the exchange object that it began
with, disturbs nothing, and does not leave any more if it has not left yet. Decisions are made by HTTP status and the
exchange's own error code: ccxt's classes change with the address and the version.
Sources: Binance spot errors, Coinbase Advanced Trade order errors, ccxt 4.5 (`specs/market_data.md`).
"""

from __future__ import annotations

import importlib
import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from evenkeel.errors import AccessRefusedError, VenueError, VenueUnknownError

_TRIES = 3
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
# Sent while the state of a request is not known, or by something in front of the exchange.
_UNSURE = frozenset({408, 409, 418, 425, 429, 451})
# Binance's codes for requests that came to nothing: filters, parameters, signature, key, balance, unknown order.
_BINANCE_REFUSES = frozenset(
    {-1013, -1014, -1020, -1021, -1022, -1121, -2010, -2011, -2013, -2014, -2015, *range(-1135, -1099)}
)
_CLOCK = -1021
_MISSING = frozenset({-2013, "NOT_FOUND"})
# Refusals of Coinbase that ccxt has no class for.
_COINBASE_REFUSES = frozenset(
    {
        "INVALID_SIDE", "INVALID_PRODUCT_ID", "INVALID_SIZE_PRECISION", "INVALID_PRICE_PRECISION", "INELIGIBLE_PAIR",
        "INSUFFICIENT_FUND", "INSUFFICIENT_FUNDS", "INVALID_LEDGER_BALANCE", "ORDER_ENTRY_DISABLED", "INVALID_REQUEST",
        "INVALID_LIMIT_PRICE", "INVALID_LIMIT_PRICE_POST_ONLY", "INVALID_NO_LIQUIDITY", "INVALID_ARGUMENT",
        "UNSUPPORTED_ORDER_CONFIGURATION", "COMMANDER_REJECTED_NEW_ORDER", "PERMISSION_DENIED", "UNAUTHENTICATED",
        "UNKNOWN_CANCEL_ORDER", "INVALID_CANCEL_REQUEST", "DUPLICATE_CANCEL_REQUEST", "COMMANDER_REJECTED_CANCEL_ORDER",
    }
)  # fmt: skip
_QUERY = re.compile(r"(?<=[a-z])\?\S*")
_ODD_SHAPE = (TypeError, KeyError, ValueError, AttributeError, IndexError, ArithmeticError)


class Missing(VenueError):  # noqa: N818 - an answer of the exchange
    """The exchange knows no such order."""


class Unsure(VenueUnknownError):  # noqa: N818 - an answer of the exchange
    """What happened is not known; `wait_s` if the exchange named a time to stay away."""

    def __init__(self, text: str, wait_s: float | None = None) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class Pace:
    """The call budget of an account, shared by all its lines: ccxt keeps a gap before each request, but per object.

    clock  s, never going back · sleep  waits so many s
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._turn = threading.Lock()
        self._left = -float("inf")

    def wait(self, gap_s: float) -> None:
        """Return `gap_s` after the request before, whoever made it, and count as the newest request from then on."""
        with self._turn:
            wait_s = self._left + gap_s - self._clock()
            if wait_s > 0:
                self._sleep(wait_s)
            self._left = self._clock()


class Line:
    """Requests of one kind. Calls from several threads are made one after the other.

    opened  makes ccxt's exchange object: for the first request, after one was given up, and after `renew`
    mend    compares the clocks: called before anybody else's turn where a request was refused for its time
    """

    def __init__(
        self,
        exchange_id: str,
        opened: Callable[[], Any],
        mend: Callable[[], None],
        pace: Pace,
        *,
        timeout_s: float,
        sleep: Callable[[float], None],
    ) -> None:
        self.id = exchange_id
        self._opened, self._mend, self._pace, self._timeout_s, self._sleep = opened, mend, pace, timeout_s, sleep
        self._exchange: Any = None
        self._last = _Last()
        self._old = False
        self._one_at_a_time = threading.RLock()

    @property
    def exchange(self) -> Any:
        """The object of ccxt as the newest request used it; None = no request yet, or the newest was given up."""
        return self._exchange

    def renew(self) -> None:
        """Let the next request have an exchange object that is made anew; one that is under way keeps its own."""
        self._old = True

    def read(self, method: str, *args: Any) -> Any:
        """Call a method of ccxt that changes nothing; again after time-outs, resets, 5xx and rate limits.

        Another thread may ask while this one waits for its next try.
        """
        for wait_s in (_FIRST_WAIT_S * 2**n for n in range(_TRIES - 1)):
            try:
                return self.once(method, *args)
            except Unsure as error:
                if error.wait_s is not None and error.wait_s > _LONGEST_WAIT_S:
                    raise
                self._sleep(wait_s if error.wait_s is None else error.wait_s)
        return self.once(method, *args)

    def once(self, method: str, *args: Any) -> Any:
        """Call a method of ccxt that makes one request, once. Raises VenueError, VenueUnknownError."""
        with self._one_at_a_time:
            if self._exchange is None or self._old:
                self._renewed()
            self._last.forget()
            fine, answer = self._within_time(self._exchange, method, args)
            if fine:
                return answer
            meaning = self._meaning(method, answer)
            if self._last.code == _CLOCK:  # nothing was booked, the next request has the right time
                self._mend()
            raise meaning from answer

    def _within_time(self, exchange: Any, method: str, args: tuple[Any, ...]) -> tuple[bool, Any]:
        """In a thread of its own, so that a server which drips bytes cannot hold us."""
        box = list[tuple[bool, Any]]()

        def call() -> None:
            try:
                box.append((True, getattr(exchange, method)(*args)))
            except (_ccxt().BaseError, *_ODD_SHAPE, OSError) as error:
                box.append((False, error))

        thread = threading.Thread(target=call, name=f"{self.id}.{method}", daemon=True)
        thread.start()
        thread.join(self._timeout_s)
        if not box:
            self._exchange = None
            raise Unsure(f"{self.id} {method}: no answer within {self._timeout_s:.3g} s")
        return box[0]

    def _renewed(self) -> None:
        """An exchange object of the line's own, whose answers are noted and whose requests wait for their turn."""
        import requests  # noqa: PLC0415 - only with ccxt

        self._old = False
        made, self._last = self._opened(), _Last()
        session = requests.Session()
        session.max_redirects = 0  # a redirected post would be sent twice
        session.mount("https://", requests.adapters.HTTPAdapter(max_retries=0))
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=0))
        session.hooks["response"].append(self._last.note)
        made.session = session
        made.throttle = lambda cost=None: self._turn(made, 1 if cost is None else cost)
        self._exchange = made

    def _turn(self, exchange: Any, cost: float) -> None:
        """Before each request of ccxt: its gap is kept across all lines."""
        self._pace.wait(exchange.rateLimit * cost / 1000)
        if exchange is not self._exchange:
            raise _ccxt().RequestTimeout("given up before it left")

    def _meaning(self, method: str, error: Exception) -> Exception:
        text = f"{self.id} {method}: {_short(error)}"
        if self._last.code in _MISSING:
            return Missing(text)
        if not self._refused(error):
            return Unsure(text, self._last.retry_after_s)
        return AccessRefusedError(text) if isinstance(error, _ccxt().AuthenticationError) else VenueError(text)

    def _refused(self, error: Exception) -> bool:
        """Whether the exchange is known to have booked nothing."""
        ccxt, last = _ccxt(), self._last
        understood = isinstance(
            error,
            (ccxt.InvalidOrder, ccxt.InsufficientFunds, ccxt.BadRequest, ccxt.AuthenticationError),
        )
        if last.status is None:  # ccxt refused before it sent anything, or nothing came back
            return understood or isinstance(error, (ccxt.ArgumentsRequired, ccxt.NotSupported))
        if last.status in _UNSURE or last.status >= 500:
            return False
        if self.id == "binance":  # a duplicate means that an order of this id is open: what became of it must be asked
            return last.status >= 400 and last.code in _BINANCE_REFUSES and "uplicate" not in str(error)
        return last.status == 401 or last.code in _COINBASE_REFUSES or (understood and last.status >= 400)


class _Last:
    """What the last answer said on the wire; ccxt's errors do not carry it."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.code: int | str | None = None
        self.retry_after_s: float | None = None

    def forget(self) -> None:
        """Before a new request: nothing is known of its answer."""
        self.status = self.code = self.retry_after_s = None

    def note(self, response: Any, *_args: Any, **_kwargs: Any) -> None:
        """Remember status and error code; a body that is no JSON becomes a lost connection."""
        import requests  # noqa: PLC0415 - only with ccxt

        self.status = int(response.status_code)
        wait = str(response.headers.get("Retry-After", ""))
        self.retry_after_s = float(wait) if wait.isdecimal() else None
        try:
            self.code = _code(json.loads(response.content))
        except ValueError as error:
            if self.status == 200:
                raise requests.exceptions.ConnectionError("the answer is no JSON") from error


def _code(body: Any) -> int | str | None:
    """The exchange's own word for an error: `code` of Binance; `error` or, of a cancel, the reason of Coinbase."""
    if not isinstance(body, dict):
        return None
    inner, results = body.get("error_response"), body.get("results")
    failed = [row for row in results if not row.get("success")] if isinstance(results, list) else []
    word = failed[0].get("failure_reason") if failed else body.get("code", body.get("error"))
    code = inner.get("error") if isinstance(inner, dict) else word
    return code if isinstance(code, int | str) else None


def _short(error: Exception) -> str:
    """One line of an error, without a page that may hang on it and without what was signed."""
    text = " ".join(_QUERY.sub("", str(error)).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."


def _ccxt() -> Any:
    return importlib.import_module("ccxt")
