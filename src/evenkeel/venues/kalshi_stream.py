"""What happens at Kalshi now? Its WebSocket as events: books that are whole, trades, our fills, ends of markets.

The laws: a book is given only while no message of its subscription is missing; after a hole every book of it is lost
(`Lost`) until a fresh snapshot came; a connection that ended is made anew, and what was missed meanwhile is said.
Messages in, events out in `Follower`, which does no I/O; `follow` is the loop around it. Source: specs/kalshi.md
section 8.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import numpy as np

from evenkeel.errors import AccessRefusedError, VenueError, VenueUnknownError
from evenkeel.venues import kalshi_fields as fields
from evenkeel.venues.kalshi_book import Book, book_of, changed
from evenkeel.venues.kalshi_fields import Row
from evenkeel.venues.kalshi_rows import Trade, count_of, price_of, taker_of
from evenkeel.venues.kalshi_wire import Credentials
from evenkeel.venues.stream import wait_s

CHANNELS: Final = ("orderbook_delta", "trade", "fill", "market_lifecycle_v2")
_PRIVATE: Final = frozenset({"fill", "market_lifecycle_v2"})
_LOOK_S: Final = 1.0
_FATAL: Final = frozenset({9})
_OURS: Final = frozenset({2, 3, 5, 8, 14, 26})


class BrokenError(Exception):
    """The connection is over, or says what cannot be understood: connect again."""


@dataclass(frozen=True, slots=True)
class BookSeen:
    """A book after a message; whole and not crossed. time  UTC ms, 0 = the venue told none."""

    book: Book
    time: int


@dataclass(frozen=True, slots=True)
class Lost:
    """These books are not known any more: no quotes until they come again."""

    tickers: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Missed:
    """Events of a channel may be missing: ask for them over REST."""

    channel: str


@dataclass(frozen=True, slots=True)
class Traded:
    """A public trade."""

    trade: Trade


@dataclass(frozen=True, slots=True)
class Filled:
    """An order of ours was executed: a reason to ask what became of it, no record to book from."""

    ticker: str
    order_id: str
    ours: str


@dataclass(frozen=True, slots=True)
class Turned:
    """A market's life went on. what  activated, deactivated, determined, settled, ... as the venue says."""

    ticker: str
    what: str


Heard = BookSeen | Lost | Missed | Traded | Filled | Turned


class Socket(Protocol):
    """A connection: `hear` waits at most so many seconds for a message (None = none came), both raise BrokenError."""

    def hear(self, longest_s: float) -> str | bytes | None:
        """The next message."""

    def say(self, message: str) -> None:
        """Send one."""


@dataclass(slots=True)
class Follower:
    """One connection's state: what was asked for, where each subscription stands, and the books."""

    tickers: tuple[str, ...]
    channels: tuple[str, ...] = CHANNELS
    books: dict[str, Book] = field(default_factory=dict)
    _sids: dict[int, str] = field(default_factory=dict)
    _seq: dict[int, int] = field(default_factory=dict)
    _command: int = 0

    def opening(self) -> list[str]:
        """What is said first: one subscription per channel, so that a hole in one is none in another."""
        return [self._say("subscribe", {"channels": [one], **self._markets(one)}) for one in self.channels]

    def take(self, message: str | bytes) -> tuple[list[Heard], list[str]]:
        """A message -> what it means, and what has to be said because of it. Raises BrokenError, VenueError."""
        try:
            row = fields.an_object(json.loads(message, parse_float=Decimal), "message")
            kind = fields.text(row, "type")
            if kind == "error":
                _refuse(row)
            if kind == "subscribed":
                told = fields.child(row, "msg")
                self._sids[fields.whole(told, "sid")] = fields.text(told, "channel")
                return [], []
            gap, said = self._numbered(row)
            return [*gap, *self._meaning(kind, row)], said
        except (ValueError, ArithmeticError, RecursionError, VenueUnknownError) as error:
            raise BrokenError(f"a message cannot be understood ({error})") from None

    def _numbered(self, row: Row) -> tuple[list[Heard], list[str]]:
        """Is this the message after the last one of its subscription? If not, what it carried is not believed."""
        if row.get("seq") is None or row.get("sid") is None:
            return [], []
        sid, seq = fields.whole(row, "sid"), fields.whole(row, "seq")
        before, self._seq[sid] = self._seq.get(sid), seq
        if before is None or seq == before + 1:
            return [], []
        channel = self._sids.get(sid, "")
        if channel != "orderbook_delta":
            return [Missed(channel)], []
        lost, self.books = tuple(sorted(self.books)), {}
        again = {"sids": [sid], "action": "get_snapshot", "market_tickers": list(self.tickers)}
        return [Lost(lost, f"message {seq} came after {before}")], [self._say("update_subscription", again)]

    def _meaning(self, kind: str, row: Row) -> list[Heard]:
        """What a data message says; a kind that we did not ask for says nothing."""
        read = _READ.get(kind)
        if kind == "orderbook_snapshot":
            return self._snapshot(fields.child(row, "msg"))
        if kind == "orderbook_delta":
            return self._delta(fields.child(row, "msg"))
        return [] if read is None else [read(fields.child(row, "msg"))]

    def _snapshot(self, told: Row) -> list[Heard]:
        ticker = fields.text(told, "market_ticker")
        # a snapshot without any list is a market where nobody bids
        sides = {name: told.get(name) for name in ("yes_dollars_fp", "no_dollars_fp")}
        self.books[ticker] = book_of(ticker, sides, suffix="_fp")
        return self._seen(ticker, told)

    def _delta(self, told: Row) -> list[Heard]:
        ticker = fields.text(told, "market_ticker")
        if ticker not in self.books:
            return []
        side, price, delta = fields.text(told, "side"), fields.fixed(told, "price_dollars"), _signed(told)
        self.books[ticker] = changed(self.books[ticker], side, price, delta)
        return self._seen(ticker, told)

    def _seen(self, ticker: str, told: Row) -> list[Heard]:
        """The book, unless it crosses: then the other half of what happened is still under way."""
        book = self.books[ticker]
        bid, ask = book.best()
        crossed = bid is not None and ask is not None and bid[0] >= ask[0]
        return [] if crossed else [BookSeen(book, _time_ms(told))]

    def _markets(self, channel: str) -> dict[str, Any]:
        return {} if channel in _PRIVATE or not self.tickers else {"market_tickers": list(self.tickers)}

    def _say(self, command: str, params: Mapping[str, Any]) -> str:
        self._command += 1
        return json.dumps({"id": self._command, "cmd": command, "params": params})


def follow(
    open_: Callable[[], Any],
    tickers: Collection[str],
    heard: Callable[[Heard], None],
    *,
    stopped: Callable[[], bool],
    sleep: Callable[[float], object],
    rng: np.random.Generator,
    clock: Callable[[], float],
    patience_s: float = 30.0,
    channels: tuple[str, ...] = CHANNELS,
) -> int:
    """Follow markets until `stopped`; -> how many connections it took.

    open_   a context manager that gives a `Socket` (see `connecting`) · heard  takes every event, in order
    rng     of the waits between connections · clock  s, never going back
    patience_s  a book that is missing for longer is worth another connection
    Raises VenueError where the venue refuses the key or the subscription: connecting again would not help.
    """
    connections, fruitless = 0, 0
    while not stopped():
        follower = Follower(tuple(sorted(tickers)), channels)
        said = 0
        try:
            with open_() as socket:
                connections += 1
                for event in _listen(socket, follower, stopped, clock, patience_s):
                    said += 1
                    heard(event)
        except BrokenError as error:
            heard(Lost(follower.tickers, str(error)))
            for channel in channels:
                heard(Missed(channel))
            fruitless = 0 if said else fruitless + 1
            if not stopped():
                sleep(wait_s(fruitless, rng))
    return connections


def _listen(
    socket: Socket, follower: Follower, stopped: Callable[[], bool], clock: Callable[[], float], patience_s: float
) -> Iterator[Heard]:
    """One connection, until it breaks or is stopped. That a quiet peer still lives is for its pings to say."""
    for opening in follower.opening():
        socket.say(opening)
    whole_at = clock()
    while not stopped():
        message, now = socket.hear(_LOOK_S), clock()
        if "orderbook_delta" not in follower.channels or len(follower.books) >= len(follower.tickers):
            whole_at = now
        if now - whole_at >= patience_s:
            raise BrokenError(f"books were missing for {now - whole_at:.0f} s")
        if message is not None:
            events, answers = follower.take(message)
            for answer in answers:
                socket.say(answer)
            yield from events


@contextmanager
def connecting(url: str, account: Credentials, clock: Callable[[], float]) -> Iterator[Socket]:
    """A connection, whose handshake is signed; pings are answered while nobody waits.

    clock  UTC s now. Raises BrokenError, AccessRefusedError.
    """
    from websockets.exceptions import InvalidStatus, WebSocketException  # noqa: PLC0415 - only who follows needs it
    from websockets.sync.client import connect  # noqa: PLC0415 - as above

    headers = account.headers("GET", urlsplit(url).path, int(clock() * 1000))
    try:
        socket = connect(
            url, additional_headers=headers, user_agent_header="evenkeel", open_timeout=10, close_timeout=1,
            max_size=1 << 22,
        )  # fmt: skip
    except InvalidStatus as error:
        if error.response.status_code in {401, 403, 451}:
            raise AccessRefusedError(f"kalshi's stream: no access (HTTP {error.response.status_code})") from None
        raise BrokenError(f"the stream cannot be opened (HTTP {error.response.status_code})") from None
    except (WebSocketException, OSError, TimeoutError) as error:
        raise BrokenError(f"the stream cannot be opened ({type(error).__name__})") from None
    with socket:
        yield _Open(socket, (WebSocketException, OSError))


@dataclass(frozen=True, slots=True)
class _Open:
    socket: Any
    broken: tuple[type[Exception], ...]

    def hear(self, longest_s: float) -> str | bytes | None:
        try:
            found: str | bytes = self.socket.recv(timeout=longest_s)
        except TimeoutError:
            return None
        except self.broken as error:
            raise BrokenError(f"the stream broke off ({type(error).__name__})") from None
        return found

    def say(self, message: str) -> None:
        try:
            self.socket.send(message)
        except self.broken as error:
            raise BrokenError(f"the stream broke off ({type(error).__name__})") from None


def _refuse(row: Row) -> None:
    """An error message: ours (the subscription), the key's, or the connection's."""
    told = fields.child(row, "msg")
    code = fields.whole(told, "code")
    text = f"kalshi's stream: error {code} {fields.maybe_text(told, 'msg')[:120]}".rstrip()
    if code in _FATAL:
        raise AccessRefusedError(text)
    if code in _OURS:
        raise VenueError(text)
    raise BrokenError(text)


def _trade(told: Row) -> Heard:
    return Traded(
        Trade(
            fields.text(told, "trade_id"), fields.text(told, "market_ticker"), price_of(told, "yes_price_dollars"),
            count_of(told, "count_fp"), taker_of(told), _time_ms(told),
        )
    )  # fmt: skip


def _fill(told: Row) -> Heard:
    ours = fields.maybe_text(told, "client_order_id")
    return Filled(fields.text(told, "market_ticker"), fields.text(told, "order_id"), ours)


def _turn(told: Row) -> Heard:
    return Turned(fields.text(told, "market_ticker"), fields.text(told, "event_type"))


_READ: Final[Mapping[str, Callable[[Row], Heard]]] = {
    "trade": _trade,
    "fill": _fill,
    "market_lifecycle_v2": _turn,
}


def _signed(told: Row) -> Decimal:
    return fields.fixed(told, "delta_fp")


def _time_ms(told: Row) -> int:
    return fields.whole(told, "ts_ms") if told.get("ts_ms") is not None else 0
