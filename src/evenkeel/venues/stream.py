"""Which bars close now? An exchange's stream of candles turned into whole rows: none missing, none twice.

A connection says when bars close; what closed while there was none is asked for by REST, after every connect and again
before the first bar that does not follow on what is known. Rows `(n, 6)`: open time UTC s, open, high, low, close,
volume. The law: rows of a symbol leave here in the order of their time, each once, and only after their bar has closed;
a bar that is left out is one that the exchange does not have either.
Source: Binance spot WebSocket streams (`specs/market_data.md` section 2).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from evenkeel.errors import DataError, FeedError, UsageError
from evenkeel.types import Array
from evenkeel.units import duration

HOSTS: Mapping[str, str] = {"binance": "wss://stream.binance.com:9443"}
"""Exchanges whose streams have candles of every length, and where."""
MOST_STREAMS = 1024
_LOOK_S = 1.0
_LAST_LOOKS = 3
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0


class Lost(Exception):  # noqa: N818 - a turn of the loop
    """The connection is over, or says what cannot be understood: connect again."""


@dataclass(frozen=True, slots=True)
class Kline:
    """What a stream says of a bar: the exchange's symbol, open time UTC s, the row, and whether the bar has closed."""

    symbol: str
    open: int
    row: tuple[float, ...]
    closed: bool


class Rest(Protocol):
    """Closed bars over REST, as `candles.CandleSource` has them."""

    def download(
        self, ranges: Mapping[str, Sequence[tuple[int, int]]], bar_s: int, store: Callable[[str, Array], None]
    ) -> Any:
        """Hand closed rows of the ranges to `store`; `skipped` of the answer says who is unknown. Raises FeedError."""


@dataclass(slots=True)
class Collected:
    """What came of it: rows per symbol, connections, rows that REST filled in, symbols left out and why."""

    rows: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    filled: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to follow: symbols with the open time (UTC s) of the first bar wanted, and the end (None = for ever)."""

    first: Mapping[str, int]
    bar_s: int
    until: int | None


class Collector:
    """Follows one exchange's stream into a store.

    store     takes a symbol and its new closed rows; returns once they are durable
    stopped   asked often; True ends it · sleep, clock  waiting (may end early where it is stopped) and UTC s now
    rng       of the waits between connections · silent_s  a connection that says nothing for so long is dead
    told      takes the number of rows stored at once, for a progress bar
    """

    def __init__(
        self,
        host: str,
        rest: Rest,
        store: Callable[[str, Array], None],
        *,
        stopped: Callable[[], bool],
        sleep: Callable[[float], object],
        clock: Callable[[], float],
        rng: np.random.Generator,
        silent_s: float = 60.0,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._host, self._rest, self._store, self._stopped = host, rest, store, stopped
        self._sleep, self._clock, self._rng, self._silent_s, self._told = sleep, clock, rng, silent_s, told
        self.done = Collected()
        self._next: dict[str, int] = {}

    def run(self, wanted: Wanted) -> Collected:
        """Follow until the end or until it is stopped; every bar that has closed by then is stored.

        Raises FeedError only where the last bars cannot be had by REST at the end.
        """
        self._next = dict(wanted.first)
        self.done.rows = dict.fromkeys(wanted.first, 0)
        failures = 0
        while self._next and not self._over(wanted):
            before = sum(self.done.rows.values())
            try:
                self._connection(wanted)
            except (Lost, FeedError) as error:
                failures = 0 if sum(self.done.rows.values()) > before else failures + 1
                self.done.notes = [*self.done.notes, str(error)][-20:]
                if not self._over(wanted):
                    self._sleep(wait_s(failures, self._rng))
        if wanted.until is not None and not self._stopped():
            self._finish(wanted, wanted.until // wanted.bar_s * wanted.bar_s)
        return self.done

    def _finish(self, wanted: Wanted, end: int) -> None:
        """The last bars, which may have closed by our clock and not yet by the exchange's."""
        for _ in range(_LAST_LOOKS):
            self._fill(wanted, end)
            if all(following >= end for following in self._next.values()):
                return
            self._sleep(_FIRST_WAIT_S)

    def _over(self, wanted: Wanted) -> bool:
        return self._stopped() or (wanted.until is not None and self._clock() >= wanted.until)

    def _connection(self, wanted: Wanted) -> None:
        """One connection: listen first, then fill in what closed before, so that nothing falls between the two."""
        with listening(address(self._host, list(self._next), wanted.bar_s)) as hear:
            self.done.connections += 1
            self._fill(wanted, int(self._clock()))
            silent_s = 0.0
            while self._next and not self._over(wanted):
                message = hear(_LOOK_S)
                silent_s = silent_s + _LOOK_S if message is None else 0.0
                if silent_s >= self._silent_s:
                    raise Lost(f"the stream was silent for {silent_s:.0f} s")
                heard = None if message is None else parsed(message)
                if heard is not None and heard.closed and heard.symbol in self._next:
                    self._take(wanted, heard)

    def _take(self, wanted: Wanted, heard: Kline) -> None:
        """A bar that has closed: old news, what is expected, or the first after a gap."""
        if heard.open > self._next[heard.symbol]:
            self._fill(wanted, heard.open, (heard.symbol,))
        late = wanted.until is not None and heard.open + wanted.bar_s > wanted.until
        if heard.open >= self._next[heard.symbol] and not late:
            self._keep(heard.symbol, np.array([heard.row]), wanted.bar_s)

    def _fill(self, wanted: Wanted, until: int, symbols: Sequence[str] | None = None) -> None:
        """Ask REST for every bar that is not known and has closed by `until`."""
        end = until if wanted.until is None else min(until, wanted.until)
        ranges = {
            symbol: [(self._next[symbol], end // wanted.bar_s * wanted.bar_s)]
            for symbol in (self._next if symbols is None else symbols)
            if self._next[symbol] < end // wanted.bar_s * wanted.bar_s
        }
        if not ranges:
            return

        def keep(symbol: str, rows: Array) -> None:
            self.done.filled += len(rows)
            self._keep(symbol, rows, wanted.bar_s)

        answer = self._rest.download(ranges, wanted.bar_s, keep)
        for symbol, why in answer.skipped.items():
            self.done.skipped[symbol] = why
            del self._next[symbol]

    def _keep(self, symbol: str, rows: Array, bar_s: int) -> None:
        new = rows[rows[:, 0] >= self._next[symbol]]
        if len(new):
            self._store(symbol, new)
            self._next[symbol] = int(new[-1, 0]) + bar_s
            self.done.rows[symbol] += len(new)
            self._told(len(new))


def wait_s(failures: int, rng: np.random.Generator) -> float:
    """How long to stay away after so many connections in a row that brought nothing: doubled, half of it by chance."""
    longest = min(_FIRST_WAIT_S * 2.0 ** min(failures, 10), _LONGEST_WAIT_S)
    return float(longest * rng.uniform(0.5, 1.0))


def host_of(exchange: str) -> str:
    """Address of an exchange's stream. Raises UsageError for one whose stream has no candles of every length."""
    if exchange not in HOSTS:
        known = ", ".join(HOSTS)
        raise UsageError(f"--exchange {exchange} streams no such candles: use {known}, or `evenkeel data download`")
    return HOSTS[exchange]


def address(host: str, symbols: Sequence[str], bar_s: int) -> str:
    """The combined stream of many symbols. Raises DataError for more than one connection may carry."""
    if len(symbols) > MOST_STREAMS:
        raise DataError(f"{len(symbols)} symbols are more than the {MOST_STREAMS} of one connection: name fewer")
    names = "/".join(f"{symbol.lower()}@kline_{duration(bar_s)}" for symbol in symbols)
    return f"{host.rstrip('/')}/stream?streams={names}"


def parsed(message: str | bytes) -> Kline | None:
    """What a message says of a bar; None if it is about something else. Raises Lost if it cannot be understood."""
    try:
        document = json.loads(message)
        event = document.get("data", document)
        if event.get("e") == "serverShutdown":
            raise Lost("the exchange closes the connection")
        if event.get("e") != "kline":
            return None
        bar = event["k"]
        prices = tuple(float(bar[name]) for name in ("o", "h", "l", "c", "v"))
        opened = int(bar["t"]) // 1000
        return Kline(str(event["s"]), opened, (float(opened), *prices), bar["x"] is True)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Lost(f"a message of the stream cannot be understood ({type(error).__name__})") from error


@contextmanager
def listening(url: str) -> Iterator[Callable[[float], str | bytes | None]]:
    """A connection as a function: wait s -> the next message, None = none came. Raises Lost.

    Pings are answered while nobody waits, and sent: a peer that is gone without a word is found out.
    """
    from websockets.exceptions import WebSocketException  # noqa: PLC0415 - only who collects needs it
    from websockets.sync.client import connect  # noqa: PLC0415 - as above

    def hear(longest_s: float) -> str | bytes | None:
        try:
            return socket.recv(timeout=longest_s)
        except TimeoutError:
            return None
        except (WebSocketException, OSError) as error:
            raise Lost(f"the stream broke off ({_short(error)})") from error

    try:
        socket = connect(url, open_timeout=10, close_timeout=1, max_size=1 << 20, user_agent_header="evenkeel")
    except (WebSocketException, OSError, TimeoutError) as error:
        raise Lost(f"the stream cannot be opened ({_short(error)})") from error
    with socket:
        yield hear


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
