"""The account on paper, asked as a venue is: an order that is sent again is the same order."""

from __future__ import annotations

from decimal import Decimal

from desk.world import opened, served
from evenkeel.types import Order
from evenkeel.venues.kalshi_paper import PaperKalshi


def test_the_same_id_again_gives_the_same_answer_and_moves_nothing(tmp_path):
    """Also where the second one asks for more, and of another process that reads the same account."""

    def order(count: int) -> Order:
        return Order("a-1", "s", 0, ticker, Decimal(count), "EDGE")

    with served() as (url, box), opened(tmp_path, url, box.clock.now) as made:
        paper, now = made.paper, int(box.clock.now())
        shown = next(c for c in made.desk.sight.board(now).contracts if c.yes_ask and c.ask_size >= 4)
        ticker, limit = shown.ticker, shown.yes_ask
        first = paper.send(order(2), now, limit=limit)
        cash, units = paper.cash(), paper.holdings(now).units
        again = [paper.send(order(count), now, limit=limit) for count in (2, 4)]
        other = PaperKalshi(tmp_path / "state" / "kalshi-paper.db", Decimal(100), paper._market, box.clock.now)
        again.append(other.send(order(2), now, limit=limit))
        other.close()

        assert cash < 100
        assert units == {ticker: Decimal(2)}
        assert again == [first] * 3
        assert (paper.cash(), paper.holdings(now).units) == (cash, units)
        assert paper.fills(0) == first.fills
