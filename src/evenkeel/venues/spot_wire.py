"""How is an exchange asked in our name? Every answer is data, VenueError (understood refusal) or VenueUnknownError.

One signed ccxt exchange over one HTTP session. The law: `once` touches the socket at most once, whatever happens, and
calls refused only what the exchange is known to refuse before it books anything; `read` may ask again. Decisions are
made by HTTP status and the exchange's own error code: ccxt's classes change with the address and the version.
Sources: Binance spot errors, Coinbase Advanced Trade order errors, ccxt 4.5 (`specs/market_data.md`).
"""

from __future__ import annotations

import importlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evenkeel.errors import AccessRefusedError, ConfigError, VenueError, VenueUnknownError

_TRIES = 3
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
_PATHS = {"binance": ("public", "private"), "coinbase": ("rest",)}
# Sent while the state of a request is not known, or by something in front of the exchange.
_UNSURE = frozenset({408, 409, 418, 425, 429, 451})
# Binance's codes for requests that came to nothing: filters, parameters, signature, key, balance, unknown order.
_BINANCE_REFUSES = frozenset(
    {-1013, -1014, -1020, -1021, -1022, -1121, -2010, -2011, -2013, -2014, -2015, *range(-1135, -1099)}
)
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


@dataclass(frozen=True, slots=True)
class Keys:
    """An account's credentials; never printed."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return "Keys(...)"


class SpotWire:
    """ccxt's exchange object, signed. See `spot.Spot` for the arguments. Opened at the first request."""

    def __init__(
        self,
        exchange_id: str,
        keys: Keys,
        *,
        host: str | None,
        testnet: bool,
        timeout_s: float,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        if exchange_id not in _PATHS:
            raise ConfigError(f"no orders can be sent to {exchange_id!r}: choose one of {', '.join(_PATHS)}")
        if testnet and exchange_id != "binance":
            raise ConfigError(f"{exchange_id} has no test network: leave testnet out, or give a host")
        self.id = exchange_id
        self._keys, self._host, self._testnet, self._timeout_s = keys, host, testnet, timeout_s
        self._sleep, self._clock = sleep, clock
        self._exchange: Any = None
        self._offset_ms = 0
        self._last = _Last()
        self._one_at_a_time = threading.RLock()

    def exchange(self) -> Any:
        """The exchange with its markets loaded and its clock compared. Raises VenueError, VenueUnknownError."""
        with self._one_at_a_time:
            if self._exchange is None:
                self._exchange = self._opened()
                self._new_session()
            if not self._exchange.markets:
                self._compare_clocks()
                self.read("load_markets")
            return self._exchange

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
        """Call a method of ccxt that makes one request, once. Raises VenueError, VenueUnknownError.

        It runs in a thread of its own, so that a server which drips bytes cannot hold us.
        """
        with self._one_at_a_time:
            exchange, box = self._exchange or self.exchange(), list[tuple[bool, Any]]()
            self._last.forget()

            def call() -> None:
                try:
                    box.append((True, getattr(exchange, method)(*args)))
                except (_ccxt().BaseError, *_ODD_SHAPE, OSError) as error:
                    box.append((False, error))

            thread = threading.Thread(target=call, name=f"{self.id}.{method}", daemon=True)
            thread.start()
            thread.join(self._timeout_s)
            if not box:
                self._new_session()
                raise Unsure(f"{self.id} {method}: no answer within {self._timeout_s:.3g} s")
            fine, answer = box[0]
            if fine:
                return answer
            raise self._meaning(method, answer) from answer

    def _meaning(self, method: str, error: Exception) -> Exception:
        text = f"{self.id} {method}: {_short(error)}"
        if self._last.code == -1021:  # the clock has drifted; nothing was booked, the next request has the right time
            self._compare_clocks()
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

    def _opened(self) -> Any:
        made = getattr(_ccxt(), self.id)(
            {"apiKey": self._keys.key, "secret": self._keys.secret, "enableRateLimit": True,
             "timeout": int(self._timeout_s * 1000)}
        )  # fmt: skip
        made.number = str
        made.options["maxRetriesOnFailure"] = 0
        made.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
        made.options["fetchBalance"] = "v3PrivateGetBrokerageAccounts" if self.id == "coinbase" else "spot"
        made.has["fetchCurrencies"] = False
        made.milliseconds = lambda: int(self._clock() * 1000) + self._offset_ms
        made.seconds = lambda: made.milliseconds() // 1000
        if self.id == "binance":
            made.options |= {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "recvWindow": made.timeout}
        if self._testnet:
            made.set_sandbox_mode(True)
        for name in _PATHS[self.id] if self._host else ():
            made.urls["api"][name] = self._host
        return made

    def _compare_clocks(self) -> None:
        """Signed requests carry the exchange's time, not ours."""
        status = self._last.status, self._last.code
        theirs = self.read("fetch_time")
        if not isinstance(theirs, int | float):
            raise VenueUnknownError(f"{self.id} does not tell its time: try again later")
        self._offset_ms = int(theirs) - int(self._clock() * 1000)
        self._last.status, self._last.code = status

    def _new_session(self) -> None:
        """A fresh session: a request that we gave up keeps the old one and can disturb nothing."""
        import requests  # noqa: PLC0415 - only with ccxt

        self._last = _Last()
        session = requests.Session()
        session.max_redirects = 0  # a redirected post would be sent twice
        session.mount("https://", requests.adapters.HTTPAdapter(max_retries=0))
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=0))
        session.hooks["response"].append(self._last.note)
        self._exchange.session = session


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
