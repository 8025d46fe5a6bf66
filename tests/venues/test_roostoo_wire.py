"""One call to Roostoo: what is signed and sent, and what each answer and each fault comes to."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from decimal import Decimal

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from evenkeel.errors import AccessRefusedError, EvenkeelError, VenueError, VenueUnknownError
from evenkeel.venues.limiter import Limiter, Priority
from evenkeel.venues.one_request import LARGEST, Answer, Request, exchange
from evenkeel.venues.roostoo_wire import (
    BALANCE,
    CANCEL_ORDER,
    PENDING_COUNT,
    PLACE_ORDER,
    QUERY_ORDER,
    TICKER,
    Credentials,
    Wire,
    signature,
    total_params,
    understood,
)
from venues.roostoo_desk import NOW, Clock, session, wire
from venues.roostoo_server import KEY, NOW_MS, SECRET, Fault, RoostooServer, refused

MARKET_BUY = {"pair": "BTC/USD", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
HTML = b"<html><body>Bad gateway</body></html>"
FAULTS = {
    "reset": Fault(reset=True),
    "server error": Fault(500, b"{}"),
    "server error that says no": Fault(503, json.dumps(refused("overloaded")).encode()),
    "too many calls": Fault(429, b"slow down"),
    "page instead of data": Fault(200, HTML),
    "client error page": Fault(404, HTML),
    "redirect": Fault(307, b"", {"Location": "/v3/place_order"}),
    "no JSON": Fault(200, b"{'Success': True}"),
    "NaN": Fault(200, b'{"Success": true, "Data": NaN}'),
    "deep": Fault(200, b"[" * 100_000),
    "no object": Fault(200, b"[]"),
    "empty": Fault(200, b""),
    "cut": Fault(200, b'{"Success": true', short=True),
    "broken gzip": Fault(200, b'{"Success": true}', {"Content-Encoding": "gzip"}),
    "too large": Fault(200, b" " * (LARGEST + 1)),
    "no word of success": Fault(200, b'{"ErrMsg": ""}'),
    "success as text": Fault(200, b'{"Success": "true"}'),
    "refusal without words": Fault(200, b'{"Success": false, "ErrMsg": ""}'),
}


@pytest.fixture
def server() -> Iterator[RoostooServer]:
    with RoostooServer() as running:
        yield running


def _same(reply):
    return reply


def _ask(client: Wire, endpoint=BALANCE, params=None, **more):
    return client.ask(endpoint, _same, params, priority=Priority.RECONCILE, **more)


def test_the_published_example_is_signed_alike():
    """Key, parameters and result as the venue's documentation prints them."""
    params = {"type": "MARKET", "timestamp": "1580774512000", "side": "BUY", "quantity": "2000", "pair": "BNB/USD"}

    assert total_params(params) == "pair=BNB/USD&quantity=2000&side=BUY&timestamp=1580774512000&type=MARKET"
    assert (
        signature("S1XP1e3UZj6A7H5fATj0jNhqPxxdSJYdInClVN65XAbvqqMKjVHjA7PZj4W12oep", params)
        == "20b7fd5550b67b3bf0c1684ed0f04885261db8fdabd38611e9e6af23c19b7fff"
    )


def test_a_post_is_a_signed_form(server):
    """An order leaves as a sorted form with a stamp in ms; the server's own signature over the raw values agrees."""
    _ask(wire(server), PLACE_ORDER, MARKET_BUY)

    body = server.bodies[-1].decode()
    assert body == f"pair=BTC%2FUSD&quantity=0.01&side=BUY&timestamp={NOW_MS}&type=MARKET"


def test_the_stamp_is_the_venues_time(server):
    """A clock that is 100 s slow signs with the venue's time, measured once."""
    client = wire(server, Clock(NOW - 100.0))

    _ask(client)
    _ask(client)

    assert server.count("serverTime") == 1
    assert server.requests[-1][2]["timestamp"] == str(NOW_MS)


def test_waiting_for_a_turn_is_no_difference_of_clocks(server):
    """The limiter holds the question for the time back by a minute: the offset is what it is when it is asked."""
    clock = Clock()
    client = wire(server, clock, calls=1)
    _ask(client, TICKER)

    assert client.offset_s() == NOW - clock.now == -60.0


def test_numbers_stay_exact(server):
    """Fractions come as the Decimal that the venue wrote, whole numbers as int, exponents and all."""
    server.answers["balance"] = [b'{"Success":true,"ErrMsg":"","a":0.1,"b":1e-05,"c":49899.24,"d":3403171}']

    reply = _ask(wire(server))

    assert (reply["a"], reply["b"], reply["c"]) == (Decimal("0.1"), Decimal("0.00001"), Decimal("49899.24"))
    assert type(reply["d"]) is int


@pytest.mark.parametrize("name", FAULTS)
def test_an_order_whose_answer_is_not_understood_is_unknown_and_sent_once(server, name):
    """Whatever comes instead of an answer: UNKNOWN, and one request on the wire."""
    server.faults["place_order"] = [FAULTS[name]]

    with pytest.raises(VenueUnknownError):
        _ask(wire(server), PLACE_ORDER, MARKET_BUY)

    assert server.count("place_order") == 1


@pytest.mark.parametrize("name", sorted(set(FAULTS) - {"too large"}))
def test_a_read_is_tried_again(server, name):
    """One fault of any kind: the second try brings the data."""
    server.faults["balance"] = [FAULTS[name]]

    assert _ask(wire(server))["SpotWallet"] == {"USD": {"Free": 50000, "Lock": 0}}
    assert server.count("balance") == 2


def test_a_read_gives_up_after_three_tries(server):
    """A venue that is down costs three calls, with growing waits between them."""
    clock = Clock()
    server.faults["balance"] = [Fault(502)] * 9

    with pytest.raises(VenueUnknownError, match="roostoo balance: HTTP 502"):
        _ask(wire(server, clock))

    assert server.count("balance") == 3
    assert clock.slept == [1.0, 2.0]


@pytest.mark.parametrize("fault", [Fault(hang_s=60.0), Fault(drip=True)], ids=["silent", "dripping"])
def test_no_answer_in_time_is_unknown(server, fault):
    """Neither silence nor a byte now and then holds us longer than the limit."""
    server.faults["place_order"] = [fault]

    with pytest.raises(VenueUnknownError, match="no answer within"):
        _ask(wire(server, timeout_s=0.3), PLACE_ORDER, MARKET_BUY)

    assert server.count("place_order") == 1


def test_an_order_that_arrived_but_whose_answer_was_lost_is_unknown(server):
    """The connection dies after the venue took the order: unknown, and it stands there once."""
    server.faults["place_order"] = [Fault(reset=True, after=True)]

    with pytest.raises(VenueUnknownError):
        _ask(wire(server), PLACE_ORDER, MARKET_BUY)

    assert len(server.rows) == 1


def test_each_request_has_a_connection_of_its_own(server):
    """A kept connection may be found closed at the moment of sending; a server that keeps them never sees a second."""
    server.keeps = True
    client = wire(server)

    for _ in range(3):
        _ask(client)

    assert len(set(server.ports)) == len(server.ports) == 4


def test_a_session_that_repeats_requests_is_refused(server):
    """When the wire is built, and at each request."""

    def eager() -> requests.Session:
        made = session()
        made.mount("http://", HTTPAdapter(max_retries=2))
        return made

    with pytest.raises(VenueError, match="max_retries=0"):
        Wire(Credentials(KEY, SECRET), Limiter(), connect=eager, base_url=server.url)
    with pytest.raises(ValueError, match="max_retries=0"):
        exchange(eager, Request("GET", server.url, {}), 1.0)
    assert not server.requests


def test_a_body_does_not_leave_after_its_sender_gave_up():
    """A name that resolves too late: by then nothing of the order may leave."""
    seen = []

    class Slow(HTTPAdapter):
        def send(self, request, **more):
            while not request.body._given_up.is_set():
                pass
            with pytest.raises(OSError, match=r"^$"):
                request.body.read()
            seen.append("kept back")
            raise requests.ConnectionError

    def late() -> requests.Session:
        made = session()
        made.mount("http://", Slow())
        return made

    with pytest.raises(VenueUnknownError):
        exchange(late, Request("POST", "http://venue.invalid/v3/place_order", {}, b"side=BUY"), 0.05)
    while not seen:
        pass


# ---------------------------------------------------------------- the venue's words


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (PENDING_COUNT, "no pending order under this account"),
        (QUERY_ORDER, "no order matched"),
        (CANCEL_ORDER, "no order canceled"),
    ],
)
def test_no_is_an_answer_where_the_venue_means_none(call, words):
    """The documented texts of an empty result are no failure at their own endpoint."""
    assert understood(call, Answer(200, json.dumps(refused(words)).encode(), None)) == {}
    with pytest.raises(VenueError, match=words):
        understood(BALANCE, Answer(200, json.dumps(refused(words)).encode(), None))


def test_a_refusal_carries_the_venues_words_and_is_not_repeated(server):
    """`Success: false` with a reason: VenueError, also with a status of 400."""
    server.answers["balance"] = [refused("your do not have permission to trade")]
    server.faults["query_order"] = [Fault(400, json.dumps(refused("quantity error")).encode())]
    client = wire(server)

    with pytest.raises(VenueError, match=r"^roostoo balance: your do not have permission to trade$"):
        _ask(client)
    with pytest.raises(VenueError, match="quantity error"):
        _ask(client, QUERY_ORDER)
    assert server.count("balance") == server.count("query_order") == 1


@pytest.mark.parametrize("status", [401, 403, 451])
def test_a_closed_door_is_not_knocked_at_again(server, status):
    """A revoked key or a refused place: one call, and an error that can be told from others."""
    server.faults["balance"] = [Fault(status, b"go away")]

    with pytest.raises(AccessRefusedError, match=f"HTTP {status}"):
        _ask(wire(server))

    assert server.count("balance") == 1


def test_too_many_calls_keeps_everybody_away_for_as_long_as_asked(server):
    """A read waits out Retry-After in the limiter and then succeeds; a whole hour is not waited for."""
    clock = Clock()
    server.faults["balance"] = [Fault(429, b"", {"Retry-After": "7"})]
    client = wire(server, clock)

    _ask(client)
    assert clock.slept == [7.0]

    server.faults["balance"] = [Fault(429, b"", {"Retry-After": "3600"})]
    with pytest.raises(VenueUnknownError, match="too many calls"):
        _ask(client)
    assert clock.slept == [7.0]


def test_a_clock_that_jumped_is_looked_at_once(server):
    """After a refusal in unknown words the clock is compared: a read is repeated, an order is not."""
    clock = Clock()
    client = wire(server, clock)
    _ask(client)
    clock.now += 200.0

    assert _ask(client)["Success"] is True
    clock.now += 200.0
    with pytest.raises(VenueError, match=r"our clock was wrong by -200\.0 s and is corrected now"):
        _ask(client, PLACE_ORDER, MARKET_BUY)

    assert (server.count("balance"), server.count("place_order"), len(server.rows)) == (3, 1, 0)
    _ask(client, PLACE_ORDER, MARKET_BUY)
    assert len(server.rows) == 1


def test_plain_words_do_not_cost_a_look_at_the_clock(server):
    """`insufficient balance` says what is wrong."""
    server.answers["place_order"] = [refused("insufficient balance")]

    with pytest.raises(VenueError, match="insufficient balance"):
        _ask(wire(server), PLACE_ORDER, MARKET_BUY)

    assert server.count("serverTime") == 1


def test_an_order_is_not_sent_while_the_venues_time_is_unknown(server):
    """Then nothing was placed, and we know it."""
    server.faults["serverTime"] = [Fault(502)] * 3

    with pytest.raises(VenueError, match="not sent"):
        _ask(wire(server), PLACE_ORDER, MARKET_BUY)

    assert server.count("place_order") == 0


def test_an_order_that_a_halt_overtook_is_not_sent(server):
    """The last question is asked after the wait for a call, just before the socket."""
    clock = Clock()
    client = wire(server, clock, calls=2)
    asked_at = []

    _ask(client, PLACE_ORDER, MARKET_BUY, allowed=lambda: asked_at.append(clock.now) or True)
    with pytest.raises(VenueError, match="no longer allowed"):
        _ask(client, PLACE_ORDER, MARKET_BUY, allowed=lambda: asked_at.append(clock.now) or False)

    assert server.count("place_order") == 1
    assert asked_at == [NOW, NOW + 60.0]


# ---------------------------------------------------------------- secrets

_secret = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=64)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=_secret, secret=_secret, fault=st.sampled_from(["echo", "html", "reset", "refusal", "401"]))
def test_no_secret_stands_in_any_text(server, key, secret, fault):
    """Whatever the venue echoes and whatever fails: neither key nor secret is in the error, its trace or a repr."""
    echo = f"key {key} secret {secret}"
    server.faults["place_order"] = {
        "echo": [Fault(200, json.dumps(refused(echo)).encode())],
        "html": [Fault(200, echo.encode())],
        "reset": [Fault(reset=True)],
        "refusal": [Fault(400, json.dumps(refused(echo * 9)).encode())],
        "401": [Fault(401, json.dumps(refused(echo)).encode())],
    }[fault]
    client = wire(server, key=key, secret=secret)

    with pytest.raises(EvenkeelError) as caught:
        _ask(client, PLACE_ORDER, MARKET_BUY)

    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(client) + repr(vars(client))
    error: BaseException | None = caught.value
    while error is not None:
        told, error = told + str(error) + repr(error.args), error.__context__
    assert key not in told
    assert secret not in told


@pytest.mark.parametrize("bad", ["", "short", "with space in between", "with\nnewline-in-the-middle", "ключ" * 8])
def test_what_cannot_be_a_key_is_refused_without_being_shown(bad):
    """A key that would break a header never reaches one."""
    with pytest.raises(VenueError, match="is no key") as caught:
        Credentials(KEY, bad)

    assert not bad or bad not in str(caught.value)
