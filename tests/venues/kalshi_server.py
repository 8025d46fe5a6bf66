"""A loopback server with Kalshi's shapes, told what to answer; it verifies every signature and keeps every request."""

from __future__ import annotations

import base64
import functools
import json
import socket
import struct
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlparse

import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from requests.adapters import HTTPAdapter

from evenkeel.types import Order
from evenkeel.venues.kalshi_tokens import Tokens
from evenkeel.venues.kalshi_wire import Credentials, Wire

PREFIX = "/trade-api/v2"
KEY = "a952bcbe-0000-key-of-a-test"
NOW = 1_783_679_400.0  # 2026-07-10 10:30 UTC, a Friday
TICKER = "KXBTC-26JUL1007-B64450"
CUT = "cut"
RESET = "reset"


@functools.cache
def private_key() -> rsa.RSAPrivateKey:
    """One key for all tests of a process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: Any = None) -> str:
    """A private key as its file holds it."""
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return (private_key() if key is None else key).private_bytes(*form).decode()


def market_row(**changes: Any) -> dict[str, Any]:
    """A market object as the API sends it, fields taken away by `None`."""
    row = {
        "ticker": TICKER, "event_ticker": "KXBTC-26JUL1007", "market_type": "binary", "status": "active",
        "yes_sub_title": "$64,400 to 64,499.99", "open_time": "2026-07-10T10:00:00Z",
        "close_time": "2026-07-10T11:00:00Z", "expected_expiration_time": "2026-07-10T11:05:00Z",
        "yes_bid_dollars": "0.1500", "yes_ask_dollars": "0.1900", "no_bid_dollars": "0.8100",
        "no_ask_dollars": "0.8500", "yes_bid_size_fp": "520.06", "yes_ask_size_fp": "723.00",
        "last_price_dollars": "0.1700", "volume_fp": "1898.46", "open_interest_fp": "900.00", "result": "",
        "strike_type": "between", "floor_strike": 64400, "cap_strike": 64499.99, "expiration_value": "",
        "price_level_structure": "linear_cent", "can_close_early": True, "liquidity_dollars": "0.0000",
        "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}], "rules_primary": "If the average",
    }  # fmt: skip
    return {name: value for name, value in {**row, **changes}.items() if value is not None}


def arrived(row: dict[str, Any]) -> dict[str, Any]:
    """An object as it is parsed: fractions are Decimal."""
    return json.loads(json.dumps(row), parse_float=Decimal)


def order_row(**changes: Any) -> dict[str, Any]:
    """An order object."""
    row = {
        "order_id": "o-1", "client_order_id": "ours-1", "ticker": TICKER, "book_side": "bid", "outcome_side": "yes",
        "side": "yes", "action": "buy", "type": "limit", "status": "executed", "yes_price_dollars": "0.1900",
        "initial_count_fp": "10.00", "fill_count_fp": "10.00", "remaining_count_fp": "0.00",
        "created_time": "2026-07-10T10:30:01Z", "exchange_index": 2,
    }  # fmt: skip
    return {**row, **changes}


def fill_row(**changes: Any) -> dict[str, Any]:
    """A fill object."""
    row = {
        "fill_id": "f-1", "trade_id": "t-1", "order_id": "o-1", "ticker": TICKER, "side": "yes", "action": "buy",
        "book_side": "bid", "count_fp": "10.00", "yes_price_dollars": "0.1900", "no_price_dollars": "0.8100",
        "is_taker": True, "fee_cost": "0.1100", "created_time": "2026-07-10T10:30:01Z",
    }  # fmt: skip
    return {**row, **changes}


def an_order(quantity: str = "10", ticker: str = TICKER, name: str = "ours-1") -> Order:
    """A limit order of ours."""
    return Order(name, "kalshi", 0, ticker, Decimal(quantity), "EDGE", style="limit")


@dataclass
class KalshiServer:
    """What is answered, per (method, path): one after another, the last one for good.

    An answer is a document (200), a pair of status and document or bytes, CUT (half a body) or RESET.
    """

    answers: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, list[tuple[str, str]], Any]] = field(default_factory=list)
    http: ThreadingHTTPServer | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.serve(self)

            def do_POST(self) -> None:
                server.serve(self)

            def do_DELETE(self) -> None:
                server.serve(self)

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.http is not None
        self.http.shutdown()
        self.http.server_close()

    def on(self, place: str, *answers: Any) -> Self:
        """Answer `GET /markets` and the like with these, the last one for good."""
        method, path = place.split(" ")
        self.answers[method, path] = list(answers)
        return self

    @property
    def url(self) -> str:
        """Base address with the API's version."""
        assert self.http is not None
        return f"http://127.0.0.1:{self.http.server_address[1]}{PREFIX}"

    def wire(self, *, signed: bool = True, **more: Any) -> Wire:
        """A wire to this server that never really waits."""
        account = Credentials(KEY, pem()) if signed else None
        given = {"clock": lambda: NOW, "sleep": lambda _: None, "reads": plenty(), "writes": plenty()}
        return Wire(self.url, account, **given | more)

    def count(self, place: str) -> int:
        """How many requests of a place arrived."""
        return sum(f"{method} {path}" == place for method, path, _, _ in self.requests)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        url = urlparse(handler.path)
        length = int(handler.headers.get("Content-Length", 0))
        body = json.loads(handler.rfile.read(length)) if length else None
        place = (handler.command, url.path.removeprefix(PREFIX))
        with self.lock:
            self.requests.append((*place, parse_qsl(url.query), body))
            waiting = self.answers.get(place, [(404, {"error": {"code": "not_found", "message": "no such thing"}})])
            answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        handler.close_connection = True
        if answer == RESET:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            return
        status, document = answer if isinstance(answer, tuple) else (200, answer)
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        if answer == CUT:
            raw = b'{"markets":[{"ticker":"A"'
        if not self._verified(handler, url.path):
            status, raw = 401, b'{"error":{"code":"INCORRECT_API_KEY_SIGNATURE"}}'
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(raw) + (40 if answer == CUT else 0)))
        handler.end_headers()
        handler.wfile.write(raw)

    def _verified(self, handler: BaseHTTPRequestHandler, path: str) -> bool:
        """An unsigned request is let through; a signed one has to be right."""
        given = handler.headers.get("KALSHI-ACCESS-SIGNATURE")
        if given is None:
            return "/portfolio/" not in path
        text = handler.headers["KALSHI-ACCESS-TIMESTAMP"] + handler.command + path
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        try:
            private_key().public_key().verify(base64.b64decode(given), text.encode(), pss, hashes.SHA256())
        except Exception:  # noqa: BLE001 - whatever is wrong with a signature
            return False
        return handler.headers["KALSHI-ACCESS-KEY"] == KEY


def plenty() -> Tokens:
    """A bucket that never runs dry, on a clock that runs away."""
    ticks = defaultdict(int)

    def clock() -> float:
        ticks["now"] += 100
        return float(ticks["now"])

    return Tokens(1000, 1000, clock=clock)


def repeating() -> requests.Session:
    """A session that must be refused: it repeats requests."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=3))
    return session
