"""One call to Kalshi: how it is signed, and what each answer and each fault comes to."""

from __future__ import annotations

import base64
import json
import traceback

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

from evenkeel.errors import EvenkeelError, VenueError, VenueUnknownError
from evenkeel.venues import kalshi_wire as wires
from evenkeel.venues.kalshi_account import BALANCE, CANCEL, CREATE
from evenkeel.venues.kalshi_tokens import Tokens
from evenkeel.venues.kalshi_wire import Credentials
from evenkeel.venues.one_request import Answer
from venues.kalshi_server import CUT, KEY, PREFIX, RESET, KalshiServer, market_row, pem, private_key, repeating

FLAT = {"code": "insufficient_balance", "message": "not enough money", "details": "shard 2", "service": "exchange"}
MARKETS = wires.Endpoint("GET", "/markets")
PAGE = {"markets": [market_row()], "cursor": ""}


def as_it_is(reply):
    return reply


@pytest.fixture
def server():
    with KalshiServer() as running:
        yield running


def test_the_signature_is_over_time_method_and_path_without_query():
    """RSA-PSS, SHA-256, salt of 32 bytes; the prefix of the API belongs to the path."""
    headers = Credentials(KEY, pem()).headers("GET", f"{PREFIX}/portfolio/balance", 1_783_679_400_000)
    text = f"1783679400000GET{PREFIX}/portfolio/balance".encode()
    signed = base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"])
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)

    private_key().public_key().verify(signed, text, pss, hashes.SHA256())
    with pytest.raises(InvalidSignature):
        private_key().public_key().verify(signed, text + b"?limit=1", pss, hashes.SHA256())
    assert headers["KALSHI-ACCESS-KEY"] == KEY


def test_an_ed25519_key_signs_too():
    """Kalshi accepts both kinds."""
    key = ed25519.Ed25519PrivateKey.generate()
    headers = Credentials(KEY, pem(key)).headers("GET", "/x", 1)

    signed = base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"])

    key.public_key().verify(signed, b"1GET/x")
    with pytest.raises(InvalidSignature):
        key.public_key().verify(signed, b"1GET/y")
    assert headers["KALSHI-ACCESS-KEY"] == KEY


@pytest.mark.parametrize(
    ("key", "text"),
    [("", pem()), ("a key", pem()), (KEY, "no pem"), (KEY, pem(ec.generate_private_key(ec.SECP256R1())))],
)
def test_what_is_no_key_is_refused_and_not_shown(key, text):
    """In words that show neither part."""
    with pytest.raises(VenueError) as caught:
        Credentials(key, text)
    assert "PRIVATE" not in str(caught.value)


def test_a_signed_call_over_http_verifies(server):
    """The server checks what arrived, query and all."""
    server.on("GET /portfolio/balance", {"balance": 100, "portfolio_value": 0})

    found = server.wire().ask(BALANCE, as_it_is, [("a", "b&c")])

    assert found["balance"] == 100
    assert server.requests[0][2] == [("a", "b&c")]


def test_without_a_key_what_needs_one_is_not_sent(server):
    """And public data is asked for unsigned."""
    server.on("GET /markets", PAGE)
    wire = server.wire(signed=False)

    assert wire.ask(MARKETS, as_it_is)["cursor"] == ""
    with pytest.raises(VenueError, match="needs an API key"):
        wire.ask(BALANCE, as_it_is)
    assert server.count("GET /portfolio/balance") == 0


REFUSALS = {
    # answer to an order: what it comes to, what its text says
    "flat refusal": ((400, FLAT), wires.RefusedError, "insufficient_balance: not enough money; shard 2"),
    "wrapped refusal": ((400, {"error": FLAT}), wires.RefusedError, "insufficient_balance: not enough money; shard 2"),
    "refusal as text": ((400, {"error": "market closed"}), wires.RefusedError, "market closed"),
    "refusal without words": ((400, {}), VenueUnknownError, "HTTP 400"),
    "page": ((400, b"<html>no</html>"), VenueUnknownError, "HTTP 400"),
    "no access": ((401, {"error": {"code": "token_failure"}}), wires.AccessRefusedError, "check the key"),
    "not from here": ((451, b""), wires.AccessRefusedError, "HTTP 451"),
    "gone": ((410, {"error": {"code": "deprecated_v1_order_endpoint"}}), wires.GoneError, "newer evenkeel"),
    "id seen before": ((409, {"error": {"code": "order_already_exists"}}), wires.SeenError, "has to be asked"),
    "too many calls": ((429, {"error": "too many requests"}), VenueUnknownError, "HTTP 429"),
    "too many calls, wrapped": ((429, {"error": FLAT}), VenueUnknownError, "HTTP 429"),
    "server error": ((500, {"error": FLAT}), VenueUnknownError, "HTTP 500"),
    "request time-out": ((408, FLAT), VenueUnknownError, "HTTP 408"),
    "reset": (RESET, VenueUnknownError, ""),
    "cut": (CUT, VenueUnknownError, ""),
    "page with status 200": ((200, b"<html>busy</html>"), VenueUnknownError, "no JSON object"),
    "success that is an error": ((200, {"error": FLAT}), VenueUnknownError, "a success that says"),
    "NaN": ((200, b'{"order_id": NaN}'), VenueUnknownError, "no JSON"),
    "deep": ((200, b"[" * 50_000), VenueUnknownError, "no JSON"),
    "redirect": ((307, b""), VenueUnknownError, "HTTP 307"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_every_answer_to_an_order_has_its_outcome_and_it_left_once(name, server):
    """Refused in words = not placed; everything else = UNKNOWN; never a second request."""
    answer, kind, words = REFUSALS[name]
    server.on("POST /portfolio/events/orders", answer)

    with pytest.raises(EvenkeelError) as caught:
        server.wire().ask(CREATE, as_it_is, body={"ticker": "A"})

    assert type(caught.value) is kind or (kind is VenueUnknownError and isinstance(caught.value, kind))
    assert not (kind is VenueUnknownError and isinstance(caught.value, VenueError))
    assert words in str(caught.value)
    assert server.count("POST /portfolio/events/orders") == 1


@pytest.mark.parametrize(
    "trouble", [RESET, CUT, (500, FLAT), (429, {"error": "too many requests"}), (200, b"<html></html>"), (502, b"")]
)
def test_a_read_is_tried_three_times(trouble, server):
    """Twice trouble and then a page is a page; three times is UNKNOWN."""
    server.on("GET /markets", trouble, trouble, PAGE)
    assert len(server.wire().ask(MARKETS, as_it_is)["markets"]) == 1

    server.on("GET /markets", trouble)
    with pytest.raises(VenueUnknownError, match="kalshi GET /markets"):
        server.wire().ask(MARKETS, as_it_is)
    assert server.count("GET /markets") == 6


def test_a_429_closes_the_bucket_for_ever_longer(server):
    """The venue names no wait: 1 s, 2 s, 4 s for everybody who reads."""
    waits, now = [], [0.0]

    def wait(_condition, seconds):
        waits.append(seconds)
        now[0] += seconds

    reads = Tokens(100, 100, clock=lambda: now[0], wait=wait)
    server.on("GET /markets", (429, {"error": "too many requests"}))
    with pytest.raises(VenueUnknownError):
        server.wire(reads=reads).ask(MARKETS, as_it_is)
    reads.take(1)

    assert waits == pytest.approx([1.0, 2.0, 4.0])


def test_a_refused_read_is_not_repeated(server):
    """401 three times a second would get a key blocked."""
    server.on("GET /portfolio/balance", (401, FLAT))

    with pytest.raises(wires.AccessRefusedError):
        server.wire().ask(BALANCE, as_it_is)
    assert server.count("GET /portfolio/balance") == 1


def test_what_is_no_longer_allowed_is_not_sent(server):
    """Asked just before the socket: a halt may have come while the call waited."""
    with pytest.raises(VenueError, match="no longer allowed"):
        server.wire().ask(CREATE, as_it_is, body={}, allowed=lambda: False)
    assert server.requests == []


@pytest.mark.parametrize("name", ["", "a/b", "..", "a?b", "a b", "ä"])
def test_a_name_that_would_lead_elsewhere_is_no_name(name, server):
    """A ticker stands in the path and nowhere else."""
    with pytest.raises(VenueError, match="is no name"):
        server.wire().ask(CANCEL, as_it_is, order=name)
    assert server.requests == []


def test_a_session_that_repeats_requests_is_refused(server):
    """An order would leave twice."""
    with pytest.raises(VenueError, match="repeats requests"):
        server.wire(connect=repeating)


def test_no_error_shows_the_key(server):
    """Even where the venue's words do."""
    server.on("POST /portfolio/events/orders", (400, {"code": "bad", "message": f"key {KEY} is tired"}))
    with pytest.raises(wires.RefusedError) as caught:
        server.wire().ask(CREATE, as_it_is, body={})

    shown = "".join(traceback.format_exception(caught.value)) + repr(Credentials(KEY, pem()))
    assert "is tired" in shown
    assert KEY not in shown
    assert "PRIVATE" not in shown


def test_fractions_stay_exact():
    """A JSON number is a Decimal, never a double."""
    found = wires.understood(Answer(200, json.dumps({"floor_strike": 64499.99}).encode(), None))

    assert str(found["floor_strike"]) == "64499.99"
