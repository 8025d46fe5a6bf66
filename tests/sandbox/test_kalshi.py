"""evenkeel's own client against the sandbox's Kalshi over HTTP: what it lists, trades, charges, settles and refuses."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from evenkeel.errors import AccessRefusedError, UsageError, VenueError, VenueUnknownError
from evenkeel.sandbox.faults import Fault
from evenkeel.sandbox.kalshi_boards import Synthetic
from evenkeel.sandbox.kalshi_orders import Held, fee, reserve
from evenkeel.sandbox.kalshi_recorded import Recorded
from evenkeel.sandbox.market import Market
from evenkeel.types import IntentStatus
from evenkeel.venues.kalshi_account import Terms
from evenkeel.venues.kalshi_rows import on_grid
from evenkeel.venues.kalshi_wire import AbsentError, Credentials, RefusedError, SeenError
from sandbox.kalshi_world import NOW, SEED, D, desk, order
from venues.exchanges import PAIRS, panel

BOARDS = Path(__file__).parents[3] / "shared" / "data" / "kalshi_crypto_hourly.parquet"
RESTING = Terms("good_till_canceled")
WRITE = "*/portfolio/events/orders"


def state(one):
    return requests.get(f"{one.url}/sandbox/state", timeout=10).json()["venues"]["kalshi"]


def move(one, seconds):
    requests.put(f"{one.url}/sandbox/clock", json={"advance": seconds}, timeout=10).raise_for_status()


# ---------------------------------------------------------------- the market


def test_every_listed_market_is_understood_without_a_doubt():
    """And its book is its quotes: best bid, best ask, their sizes, on its grid."""
    with desk() as one:
        found = one.public.markets(status="open")
        books = one.public.books([market.ticker for market in found.rows[:60]])

    assert found.unread == ()
    assert len(found.rows) > 40
    assert all(market.tradable for market in found.rows)
    for market in found.rows[:60]:
        bid, ask = books[market.ticker].best()
        assert (None if bid is None else bid[0]) == market.yes_bid
        assert (None if ask is None else ask[0]) == market.yes_ask
        assert all(on_grid(price, market.grid) for price, _ in books[market.ticker].bids())


def test_lists_are_the_same_in_pages_of_any_size():
    """Paged by 7 or by 1000, filtered by series and status."""
    with desk() as one:
        whole = [market.ticker for market in one.public.markets(series="KXBTC", status="open").rows]
        paged, cursor = [], ""
        while True:
            params = {"series_ticker": "KXBTC", "status": "open", "limit": 7, "cursor": cursor}
            page = requests.get(f"{one.url}/kalshi/trade-api/v2/markets", params=params, timeout=10).json()
            paged += [row["ticker"] for row in page["markets"]]
            cursor = page["cursor"]
            if not cursor:
                break

    assert paged == whole
    assert len(whole) == 43


def test_a_ladder_is_monotone_and_exactly_one_range_happens():
    """At the end of every hour: YES up to a strike and NO from there on, and one YES among the ranges."""
    world = Synthetic(Market(panel(), PAIRS), SEED)
    for closes in range(NOW - 1_230, NOW + 20_000, 3_600):
        listings = [one for one in world.listings(closes - 1, closes - 1) if one.closes == closes]
        ladder = [world.outcome(one)[0] for one in listings if one.series == "KXBTC"]
        steps = [
            world.outcome(one)[0] for one in sorted(listings, key=lambda row: row.floor or 0) if one.series == "KXBTCD"
        ]

        assert ladder.count("yes") == 1
        assert steps == sorted(steps, reverse=True)


def test_events_series_hours_trades_and_candles_are_read():
    """By the client, over HTTP."""
    with desk() as one:
        public = one.public
        assert public.status().trades(2)
        assert public.schedule().open_at(NOW)
        assert public.series("KXBTC").fee == "quadratic"
        assert {row.ticker for row in public.series_list()} >= {"KXBTC", "KXBTCD", "KXBTC15M", "KXETH"}
        event = next(row for row in public.events("KXBTC", "open", nested=True))
        assert event.exclusive
        assert len(event.markets) == 43
        assert public.event(event.ticker).markets == event.markets
        market = one.market()
        trades = public.trades(market.ticker, NOW - 1_200, NOW)
        assert trades
        assert all(0 < trade.price < 1 and trade.count > 0 for trade in trades)
        candles = public.candles("KXBTCD", market.ticker, NOW - 1_200, NOW, 1)
        assert len(candles) >= 18
        assert all(candle.yes_bid.low is None or candle.yes_bid.low <= candle.yes_bid.high for candle in candles)


def test_a_market_lives_and_ends_as_the_sixty_seconds_before_its_close_say():
    """active, closed, determined, finalized; result and value only then."""
    with desk() as one:
        market = one.market()
        told = []
        for at in (market.closes / 1000 - 1, *(market.closes / 1000 + late for late in (0, 60, 120))):
            one.box.clock.set(at)
            seen = one.public.market(market.ticker)
            told.append((seen.status, bool(seen.result), seen.value is not None, seen.yes_bid is None))

    assert [row[0] for row in told] == ["active", "closed", "determined", "finalized"]
    assert [row[1] for row in told] == [False, False, True, True]
    assert [row[2] for row in told] == [False, False, False, True]
    assert [row[3] for row in told][1:] == [True, True, True]
    average = sum(one.box.market.last("BTC", market.closes / 1000 - n - 1e-3) for n in range(60)) / 60
    assert D(seen.settled_as) == D(str(round(average, 2)))
    assert seen.result == ("yes" if average > float(market.floor) else "no")


# ---------------------------------------------------------------- orders and money


def test_what_is_bought_is_paid_charged_held_and_settled_to_the_cent():
    """YES and NO of two markets: cash before = cash after + cost + fees; at the end YES + NO paid exactly 1 each."""
    with desk() as one:
        market, account = one.market(), one.account
        bought = account.send(order(market, 10), market, market.yes_ask)
        done = account.order(bought.id)
        sold = account.order(account.send(order(market, -4, "ours-2"), market, market.yes_bid).id)
        paid = sum(f.quantity * f.price for f in (*done.fills, *sold.fills))
        fees = sum(f.fee for f in (*done.fills, *sold.fills))
        cash = account.balance().cash

        assert done.status is IntentStatus.FILLED
        assert cash == D(100) - paid - fees
        assert account.holdings(0).units == {market.ticker: D(6)}
        move(one, 3_600)
        (settled,) = account.settlements()
        after = account.balance().cash

    assert settled.revenue == (D(6) if settled.result == "yes" else D(0))
    assert after == cash + settled.revenue
    assert fees == sum(fee(abs(f.quantity), f.price, taker=True) for f in (*done.fills, *sold.fills))


def test_no_is_an_ask_and_its_collateral_is_1_less_the_price():
    """Selling YES that is not held = buying NO: q is paid, and the position is negative."""
    with desk() as one:
        market, account = one.market(), one.account
        told = account.order(account.send(order(market, -5), market, market.yes_bid).id)

        assert [fill.quantity for fill in told.fills] == [-5]
        cost = 5 * (1 - market.yes_bid)
        assert account.balance().cash == D(100) - cost - sum(fill.fee for fill in told.fills)
        assert account.positions()[0].count == -5
        assert account.positions()[0].exposure == cost


def test_a_resting_order_waits_holds_cash_back_and_is_filled_by_others():
    """Inside the spread it is first in line; a maker pays no fee; whatever fills, cash and counts agree."""
    with desk() as one:
        market, account = one.market(low="0.2", high="0.8"), one.account
        price = market.yes_bid + D("0.01")
        placed = account.send(order(market, 30), market, price, RESTING)
        assert account.order(placed.id).status is IntentStatus.ACKED
        assert account.balance().cash == D(100) - 30 * price
        move(one, 1_500)
        told = account.order(placed.id)
        filled = sum(fill.quantity for fill in told.fills)

        assert filled > 0
        assert all(fill.fee == 0 and fill.price == price for fill in told.fills)
        assert account.holdings(0).units == {market.ticker: filled}
        gone = account.cancel(placed.id)
        assert gone.status in {IntentStatus.CANCELED, IntentStatus.FILLED}
        assert account.balance().cash == D(100) - filled * price


def test_orders_that_cannot_be_end_as_their_terms_say():
    """Post-only that would take, fill-or-kill that is too large, immediate off the market: nothing is filled."""
    with desk() as one:
        market, account = one.market(), one.account
        cases = [
            (market.yes_ask, 5, Terms("good_till_canceled", post_only=True)),
            (market.yes_ask, 90_000, Terms("fill_or_kill")),
            (market.yes_bid - D("0.01"), 5, Terms()),
        ]
        for number, (price, count, terms) in enumerate(cases):
            told = account.order(account.send(order(market, count, f"o-{number}"), market, price, terms).id)
            assert (told.status, told.fills) == (IntentStatus.CANCELED, ())
        assert account.balance().cash == 100


def test_amending_and_decreasing_change_the_order_that_rests():
    """Price and size in all; cash held back follows."""
    with desk() as one:
        market, account = one.market(), one.account
        low = market.yes_bid - D("0.05")
        placed = account.send(order(market, 10), market, low, RESTING)
        changed = account.amend(placed.id, order(market, 8), market, low - D("0.01"))
        assert (changed.quantity, changed.limit) == (8, low - D("0.01"))
        assert account.decrease(placed.id, D(3)).quantity == 3
        assert account.balance().cash == D(100) - 3 * (low - D("0.01"))


def test_cash_has_to_lie_on_the_markets_shard():
    """The account's total is not enough; moved there it is."""
    with desk() as one:
        market, account, venue = one.market(), one.account, one.box.kalshi
        venue.transfer(2, 0, D(100))
        assert account.balance().cash == 100
        assert account.balance().on(2) == 0
        with pytest.raises(RefusedError) as caught:
            account.send(order(market, 5), market, market.yes_ask)
        assert caught.value.code == "insufficient_balance"
        assert state(one)["orders"] == []


# ---------------------------------------------------------------- what is lost, late or refused


@pytest.mark.parametrize("kind", ["reset", "status", "html", "rate_limit", "maintenance"])
@pytest.mark.parametrize("accepted", [False, True])
def test_an_order_whose_answer_is_lost_is_found_or_is_not_there(kind, accepted):
    """UNKNOWN either way; what the venue shows of our id decides; it left once."""
    with desk(Fault(kind, path=WRITE, method="POST", accepted=accepted)) as one:
        market, account = one.market(), one.account
        with pytest.raises(VenueUnknownError):
            account.send(order(market, 5), market, market.yes_ask)
        shown = account.orders([market.ticker], NOW - 60)

        assert [row.ours for row in shown] == (["ours-1"] if accepted else [])
        assert one.box.faults.to_json()[0]["calls"] == 1


def test_an_id_protects_only_while_its_order_rests():
    """409 while it does; after it filled the same id buys a second time: the id is no proof."""
    with desk() as one:
        market, account = one.market(), one.account
        account.send(order(market, 3), market, market.yes_bid - D("0.05"), RESTING)
        with pytest.raises(SeenError):
            account.send(order(market, 3), market, market.yes_ask)
        account.send(order(market, 2, "twice"), market, market.yes_ask)
        account.send(order(market, 2, "twice"), market, market.yes_ask)

        assert [row.ours for row in account.orders([market.ticker], 0)].count("twice") == 2


def test_fills_that_are_shown_late_keep_the_order_open():
    """Positions and fills lag; nothing is booked short."""
    with desk(lag_s=1.0) as one:
        market, account = one.market(), one.account
        placed = account.send(order(market, 2), market, market.yes_ask)
        assert account.order(placed.id).status is IntentStatus.ACKED
        assert account.positions() == ()
        move(one, 2)

        assert account.order(placed.id).status is IntentStatus.FILLED
        assert account.positions()[0].count == 2


def test_a_partial_fill_is_what_it_is():
    """Half of others' size is there; the rest of an immediate order is canceled."""
    with desk(Fault("partial", path=WRITE, fraction=0.1)) as one:
        market, account = one.market(), one.account
        told = account.order(account.send(order(market, 200), market, market.yes_ask).id)

    filled = sum(fill.quantity for fill in told.fills)
    assert 0 < filled < 200
    assert told.status is IntentStatus.CANCELED


def test_a_suspended_exchange_is_respected_before_the_socket():
    """Status says no: nothing is sent."""
    with desk(Fault("suspend", path="*/exchange/status")) as one:
        market = one.market()
        with pytest.raises(VenueError, match="does not trade"):
            one.account.send(order(market, 5), market, market.yes_ask)


def test_only_the_owner_is_let_in_and_the_retired_calls_are_gone():
    """Another key 401; legacy writes 410; public data need none."""
    with desk() as one:
        stranger = Credentials("00000000-0000-4000-8000-000000000000", one.credentials.pem)
        from evenkeel.venues.kalshi_account import KalshiAccount
        from evenkeel.venues.kalshi_wire import Wire

        base = f"{one.url}/kalshi/trade-api/v2"
        with pytest.raises(AccessRefusedError):
            KalshiAccount(Wire(base, stranger, clock=one.box.clock.now)).balance()
        headers = one.credentials.headers("POST", "/kalshi/trade-api/v2/portfolio/orders", 1)
        legacy = requests.post(f"{base}/portfolio/orders", json={}, headers=headers, timeout=10)
        with pytest.raises(AbsentError):
            one.public.market("KXBTC-26JAN0101-B1")

    assert legacy.status_code == 410
    assert legacy.json()["error"]["code"] == "deprecated_v1_order_endpoint"


def test_too_many_calls_are_a_429_without_a_wait():
    """Its error is a text, as the venue's is."""
    with desk(reads=20) as one:
        url = f"{one.url}/kalshi/trade-api/v2/exchange/status"
        answers = [requests.get(url, timeout=10) for _ in range(4)]

    late = next(answer for answer in answers if answer.status_code == 429)
    assert late.json() == {"error": "too many requests"}
    assert "Retry-After" not in late.headers


# ---------------------------------------------------------------- its own arithmetic


def test_trades_of_a_position_conserve_cash():
    """Any round trip: cash moved = realized; YES at p and NO at 1 - p are one thing."""
    held = Held(None)
    moved = sum(held.trade(D(q), D(p)) for q, p in ((10, "0.4"), (-15, "0.5"), (-2, "0.3"), (7, "0.6")))

    assert held.count == 0
    assert held.cost == 0
    assert moved == held.realized == D("-4.00") + D("7.50") + D("0.60") - D("4.20")


def test_what_closes_holds_nothing_back():
    """10 YES held: asks for 10 are free, the next needs 1 - p; bids always need p."""
    assert reserve(D(10), [(False, D("0.6"), D(10))]) == 0
    assert reserve(D(10), [(False, D("0.6"), D(12))]) == D("0.8")
    assert reserve(D(0), [(True, D("0.6"), D(2)), (False, D("0.7"), D(1))]) == D("1.5")


@pytest.mark.parametrize(
    ("count", "price", "usd"),
    [(1, "0.50", "0.02"), (100, "0.50", "1.75"), (10, "0.10", "0.07"), (100, "0.95", "0.34"), (1, "0.05", "0.01")],
)
def test_the_fee_is_the_published_one(count, price, usd):
    """To the cent, rounded up; makers pay none."""
    assert fee(Decimal(count), Decimal(price), taker=True) == Decimal(usd)
    assert fee(Decimal(count), Decimal(price), taker=False) == 0


@pytest.mark.skipif(not BOARDS.exists(), reason="the shared data are not here")
def test_recorded_boards_are_a_venue_too():
    """Listings, quotes as captured, results as the venue settled them."""
    world = Recorded(BOARDS, SEED)
    begin, end = world.span
    middle = begin + 1_200
    listings = world.listings(middle, middle)

    assert listings
    assert any(any(world.bids(one, middle)) for one in listings)
    outcomes = [world.outcome(one) for one in world.listings(begin, end)]
    assert {outcome[0] for outcome in outcomes if outcome} == {"yes", "no"}


def test_what_is_no_file_of_boards_is_refused(tmp_path):
    """In words."""
    (tmp_path / "boards.parquet").write_text(json.dumps({}))
    with pytest.raises(UsageError, match="cannot be read"):
        Recorded(tmp_path / "boards.parquet", SEED)
