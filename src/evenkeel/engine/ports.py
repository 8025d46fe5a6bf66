"""What the engine needs of the world, as small protocols. Time is an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, runtime_checkable

from evenkeel.lean import lean
from evenkeel.signals.crowd import Crowd
from evenkeel.types import Array, Fill, Holdings, IntentStatus, Order, Panel, View


@lean
@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order of the account as its venue shows it, ours or not.

    id      the venue's own, growing with time where `number` is not None
    ours    our order id where the venue keeps it, else ``
    quantity  signed units (+ buys) that were asked for · limit  USD per unit, None = market order
    status  ACKED (open), FILLED, CANCELED or REJECTED; one that was partly filled has fills and any of these
    placed  UTC ms, the venue's clock · fills  their `order_id` is the venue's id
    """

    id: str
    ours: str
    asset: str
    quantity: Decimal
    limit: Decimal | None
    status: IntentStatus
    placed: int
    fills: tuple[Fill, ...] = ()
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Touch:
    """Best bid and ask (USD per unit), and what is traded of the asset, USD a day (NaN = unknown)."""

    bid: float
    ask: float
    volume: float


class Market(Protocol):
    """The present as one needs it who sends an order over time."""

    def touch(self, asset: str) -> Touch | None:
        """Best bid and ask now; None = there is no two-sided quote. Raises nothing."""

    def profile(self, asset: str) -> Array:
        """How the asset's volume spreads over the UTC day, see `schedule.volume_profile`; NaN = unknown."""


class Feed(Protocol):
    """Shows the market."""

    def refresh(self, time: int) -> None:
        """Bring in the bars that have closed by `time`; may wait for them. Called before a trading slot. FeedError."""

    def view(self, time: int, since: int) -> View:
        """What is known at `time` (UTC s); ranges cover the bars after `since`. Raises FeedError."""


class Listener(Protocol):
    """Reads event contracts, once for each pass. Raises nothing: why nothing was heard is said in the crowd."""

    def begin(self) -> None:
        """Ask now, beside whatever comes next."""

    def heard(self, panel: Panel) -> Crowd:
        """What was asked for, read with the bars that have closed by now; waits for a few seconds at most."""

    def known(self) -> Crowd:
        """What earlier passes read; asks nobody."""


class Broker(Protocol):
    """Takes orders and knows what we hold.

    Every method raises VenueError for an understood refusal and VenueUnknownError for anything else.
    """

    @property
    def again(self) -> bool:
        """Whether an order sent twice under its id is one order: then what it does not show was never placed."""

    def holdings(self, time: int, *, urgent: bool = ...) -> Holdings:
        """The venue's truth now; urgent = a stop waits for it."""

    def send(
        self, order: Order, time: int, may: Callable[[], bool] = ..., *, limit: Decimal | None = None
    ) -> VenueOrder:
        """Place one order, once: at market, or resting at `limit` (USD per unit).

        `may` is asked last where an order has to wait for its turn; False = VenueError.
        """

    def cancel(self, asset: str, venue_id: str, time: int, /) -> VenueOrder | None:
        """Take back an open order by the venue's id; -> what became of it, which may be FILLED; None = unknown there.

        VenueError: it is open and was not cancelled. VenueUnknownError: it has to be asked for.
        """

    def orders(self, assets: frozenset[str], since: int, time: int) -> tuple[VenueOrder, ...]:
        """The account's orders of these assets above a number, or since UTC s where the venue keeps our ids."""

    def fills(self, since: int) -> tuple[Fill, ...]:
        """What this account executed after `since` (UTC s), oldest first, ours or not."""


@runtime_checkable
class Queued(Protocol):
    """A broker that makes calls wait for their turn under a budget of ours: such a wait is no fault of the venue."""

    @property
    def waited(self) -> float:
        """Seconds for which the calling thread has waited so far."""
