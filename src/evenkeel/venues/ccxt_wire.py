"""How is ccxt asked? Every answer is one of four: data, unknown symbol, refusal, or FeedError after bounded tries.

One exchange over one HTTP session, paced, with a total time limit per request. The law: nothing waits for ever and
nothing that ccxt or the network can throw leaves this module unmapped. Reads only: everything here may be repeated.
"""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from evenkeel.errors import DataError, FeedError

_TRIES = 5
_LONGEST_WAIT_S = 120.0
_FIRST_WAIT_S = 1.0
# What ccxt's parsers throw at JSON of a shape that they do not expect.
_ODD_SHAPE = (TypeError, KeyError, ValueError, AttributeError, IndexError)


class UnknownSymbol(Exception):  # noqa: N818 - an answer of the exchange, not a failure
    """The exchange has no such symbol."""


class Refused(FeedError):  # noqa: N818 - as above
    """The exchange refuses this one request in words (HTTP 4xx); asking again would not help, others may go on."""


class _Again(Exception):  # noqa: N818 - a turn of the loop
    """Worth another try, after `wait_s` if the exchange named a time."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class _Blocked(Exception):  # noqa: N818 - a turn of the loop
    """HTTP 451: not from this place."""


class Wire:
    """ccxt's exchange object behind `ask`. See `candles.CandleSource` for the arguments; gap_s = s between requests."""

    def __init__(
        self,
        exchange_id: str,
        hosts: tuple[str, ...],
        timeout_s: float,
        gap_s: float,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self.notes: list[str] = []
        self._id, self._hosts, self._timeout_s, self._gap_s = exchange_id, list(hosts), timeout_s, gap_s
        self._sleep, self._clock = sleep, clock
        self._exchange: Any = None
        self._last: _Last = _Last()
        self._free_at = 0.0

    def timeframes(self) -> tuple[str, ...]:
        """Bars that the exchange offers, as words. Raises DataError for an exchange that ccxt does not know."""
        return tuple(self._open().timeframes or ())

    def markets(self, deadline: float | None = None) -> Mapping[str, Mapping[str, Any]]:
        """All spot markets by unified name, asked once. Raises FeedError."""
        if not self._open().markets:
            self.ask("load_markets", deadline=deadline)
        found: Mapping[str, Mapping[str, Any]] = self._exchange.markets or {}
        if not found:
            raise FeedError(f"{self._id} lists no markets: check the address {self._host()}")
        return found

    def unified(self, symbol: str, deadline: float | None = None) -> str | None:
        """The unified name (`BTC/USDT`) of the exchange's symbol (`BTCUSDT`), or None. Raises FeedError."""
        markets = self.markets(deadline)
        if symbol in markets:
            return symbol
        listed = (self._exchange.markets_by_id or {}).get(symbol, [])
        return next((str(market["symbol"]) for market in listed if market.get("spot")), None)

    def ask(self, method: str, *args: Any, deadline: float | None = None) -> Any:
        """Call a reading method of ccxt, again after time-outs, resets, 5xx, odd answers and rate limits.

        deadline  UTC s by our clock after which no further try begins; None = only the number of tries is bounded
        Raises UnknownSymbol, Refused, FeedError.
        """
        tries = 0
        while True:
            self._pace()
            left_s = self._timeout_s if deadline is None else min(self._timeout_s, deadline - self._clock())
            if left_s <= 0:
                raise FeedError(f"{self._id} was not asked, the time allowed is over: try again later")
            try:
                return self._once(method, args, left_s)
            except _Blocked as blocked:
                self._switch(blocked)
            except _Again as again:
                tries += 1
                self._wait(again, tries, deadline)

    def _wait(self, again: _Again, tries: int, deadline: float | None) -> None:
        wait_s = _FIRST_WAIT_S * 2 ** (tries - 1) if again.wait_s is None else again.wait_s
        if tries >= _TRIES:
            raise FeedError(f"{self._id} gave no usable answer in {tries} tries ({again}): try again later") from again
        if wait_s > _LONGEST_WAIT_S:
            raise FeedError(f"{self._id} asks us to stay away for {wait_s:.0f} s ({again}): wait that long") from again
        if deadline is not None and self._clock() + wait_s > deadline:
            raise FeedError(f"{self._id} did not answer in the time allowed ({again}): try again later") from again
        self._sleep(wait_s)

    def _pace(self) -> None:
        wait_s = min(self._free_at - self._clock(), self._gap_s)
        if wait_s > 0:
            self._sleep(wait_s)
        self._free_at = self._clock() + self._gap_s

    def _switch(self, blocked: _Blocked) -> None:
        if len(self._hosts) < 2:
            raise FeedError(
                f"{self._id} refuses this place (HTTP 451, {self._host()}): use another exchange, such as coinbase"
            ) from blocked
        refused = self._hosts.pop(0)
        self.notes.append(f"{refused} refuses this place (HTTP 451): switched to {self._hosts[0]}")
        _point(self._exchange, self._hosts[0])

    def _host(self) -> str:
        return self._hosts[0] if self._hosts else "of ccxt"

    def _once(self, method: str, args: tuple[Any, ...], limit_s: float) -> Any:
        """One call in a thread of its own, so that a server which drips bytes cannot hold us."""
        exchange = self._open()
        self._last.forget()
        box: list[tuple[bool, Any]] = []

        def call() -> None:
            try:
                box.append((True, getattr(exchange, method)(*args)))
            except (_ccxt().BaseError, *_ODD_SHAPE, OSError) as error:
                box.append((False, error))

        thread = threading.Thread(target=call, name=f"{self._id}.{method}", daemon=True)
        thread.start()
        thread.join(limit_s)
        if not box:
            self._new_session()
            raise _Again(f"no answer within {limit_s:.3g} s")
        fine, answer = box[0]
        if fine:
            return answer
        raise self._meaning(answer) from answer

    def _meaning(self, error: Exception) -> Exception:
        """What an error of ccxt comes to, judged by the HTTP status first (ccxt's classes vary by exchange)."""
        ccxt, status, text = _ccxt(), self._last.status, _short(error)
        if status == 451:
            return _Blocked(text)
        if status in (418, 429) or isinstance(error, ccxt.DDoSProtection):
            return _Again(text, self._last.retry_after_s)
        if isinstance(error, ccxt.BadSymbol):
            return UnknownSymbol(text)
        if status is None or status < 400 or status >= 500 or status == 408:
            return _Again(text)
        return Refused(f"{self._id} refuses the request ({text}): check the symbol and the dates")

    def _open(self) -> Any:
        if self._exchange is None:
            ccxt = _ccxt()
            if self._id not in ccxt.exchanges:
                raise DataError(f"ccxt knows no exchange {self._id!r}: choose one such as binance or coinbase")
            self._exchange = getattr(ccxt, self._id)({"enableRateLimit": False, "timeout": int(self._timeout_s * 1000)})
            _public_only(self._exchange)
            if self._hosts:
                _point(self._exchange, self._hosts[0])
            self._new_session()
        return self._exchange

    def _new_session(self) -> None:
        """A fresh session: a request that we gave up keeps the old one and can disturb nothing."""
        import requests  # noqa: PLC0415 - only with ccxt

        self._last = _Last()
        session = requests.Session()
        session.hooks["response"].append(self._last.note)
        self._exchange.session = session


class _Last:
    """What the last answer looked like on the wire; ccxt's errors do not carry it."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after_s: float | None = None

    def forget(self) -> None:
        """Before a new request: nothing is known of its answer."""
        self.status = self.retry_after_s = None

    def note(self, response: Any, *_args: Any, **_kwargs: Any) -> None:
        """Remember the status; a 200 whose body is no JSON (a proxy's page, a cut answer) becomes a lost connection."""
        import requests  # noqa: PLC0415 - only with ccxt

        self.status = int(response.status_code)
        self.retry_after_s = _retry_after(response.headers.get("Retry-After"))
        if self.status == 200:
            try:
                json.loads(response.content)
            except ValueError as error:
                raise requests.exceptions.ConnectionError("the answer is no JSON") from error


def _retry_after(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None


def _short(error: Exception) -> str:
    """One line of an error, without the page that may hang on it."""
    why = error.__cause__ if type(error).__name__ == "NetworkError" and error.__cause__ else error
    text = " ".join(str(why).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."


def _public_only(exchange: Any) -> None:
    """Spot markets only, and nothing that wants a key: futures hosts may be blocked where spot is not."""
    exchange.has["fetchCurrencies"] = False
    if exchange.id == "binance":
        exchange.options["fetchMarkets"] = {"types": ["spot"]}


def _point(exchange: Any, host: str) -> None:
    """Send public requests to another address."""
    for name in ("public", "rest"):
        if name in exchange.urls["api"]:
            exchange.urls["api"][name] = host


def _ccxt() -> Any:
    return importlib.import_module("ccxt")
