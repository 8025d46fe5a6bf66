"""A loopback server with Roostoo's shapes: signed calls, a wallet, orders that fill at once or rest, and faults.

It checks key, signature (built from what arrived, sorted, raw) and time stamp, and keeps every request it received.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlparse

KEY = "K" * 32 + "key-of-a-test-account-0000000001"
SECRET = "S" * 32 + "secret-of-a-test-account-0000001"
NOW_MS = 1_790_000_000_000
MARKET = {
    "BTC/USD": (84596, 84596.01, 2, 5),
    "ETH/USD": (2500.1, 2500.2, 2, 4),
    "SHIB/USD": (0.00001234, 1.235e-05, 8, 0),
}
_NAMES = {"serverTime": "_server_time", "exchangeInfo": "_exchange_info"}


def refused(text: str) -> dict[str, Any]:
    """A business failure."""
    return {"Success": False, "ErrMsg": text}


@dataclass
class Fault:
    """What a path does once instead of answering. `after` = the request was carried out before.

    status, body, headers  sent as they are · hang_s  silence first · reset  the connection dies · drip  a byte a time
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang_s: float = 0.0
    reset: bool = False
    drip: bool = False
    after: bool = False
    short: bool = False


@dataclass
class RoostooServer:
    """rows: order number -> row. wallet: coin -> row. page: most rows in one answer. keeps: connections stay open."""

    now_ms: int = NOW_MS
    key: str = KEY
    secret: str = SECRET
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    wallet: dict[str, dict[str, Any]] = field(default_factory=lambda: {"USD": {"Free": 50000, "Lock": 0}})
    wallet_name: str = "SpotWallet"
    next_number: int = 3_403_171
    page: int = 1000
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    answers: dict[str, list[Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    ask_offset: bool = True
    keeps: bool = False
    http: ThreadingHTTPServer | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.serve(self, urlparse(self.path).query.encode())

            def do_POST(self) -> None:
                server.serve(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *args: object) -> None:
                """Quiet."""

        class Http(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                """A client that left is no news."""

        self.http = Http(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.http is not None
        self.stop.set()
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self) -> str:
        """Base address."""
        assert self.http is not None
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def count(self, path: str) -> int:
        """How many requests of a path arrived."""
        return Counter(name for _, name, _ in self.requests)[path]

    def sent(self, path: str) -> dict[str, str]:
        """Parameters of the last request of a path, without the stamp."""
        params = next(params for _, name, params in reversed(self.requests) if name == path)
        return {name: value for name, value in params.items() if name != "timestamp"}

    # ---------------------------------------------------------------- transport

    def serve(self, handler: BaseHTTPRequestHandler, raw: bytes) -> None:
        """Answer one request."""
        path, params = urlparse(handler.path).path.removeprefix("/v3/"), dict(parse_qsl(raw.decode()))
        handler.close_connection = not self.keeps
        with self.lock:
            self.requests.append((handler.command, path, params))
            self.bodies.append(raw)
            self.ports.append(handler.client_address[1])
            fault = self.faults[path].pop(0) if self.faults.get(path) else None
        if fault is not None and not fault.after:
            self._fail(handler, fault)
            return
        with self.lock:
            status, reply = self._answer(handler, path, params)
        if fault is not None:
            self._fail(handler, fault)
            return
        _reply(handler, status, reply if isinstance(reply, bytes) else json.dumps(reply).encode(), {})

    def _fail(self, handler: BaseHTTPRequestHandler, fault: Fault) -> None:
        self.stop.wait(fault.hang_s)
        if fault.reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            handler.close_connection = True
        elif fault.drip:
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            while not self.stop.wait(0.02):
                handler.wfile.write(b" ")
                handler.wfile.flush()
        else:
            headers = {"Content-Length": str(len(fault.body) + 10)} if fault.short else {}
            _reply(handler, fault.status, fault.body, {**fault.headers, **headers})
            handler.close_connection = True

    def _answer(self, handler: BaseHTTPRequestHandler, path: str, params: dict[str, str]) -> tuple[int, Any]:
        signed = path not in {"serverTime", "exchangeInfo", "ticker"}
        total = "&".join(f"{name}={params[name]}" for name in sorted(params))
        if signed and handler.headers.get("RST-API-KEY") != self.key:
            return 401, b"unknown key"
        good = hmac.new(self.secret.encode(), total.encode(), hashlib.sha256).hexdigest()
        if signed and handler.headers.get("MSG-SIGNATURE") != good:
            return 200, refused("signature of this sandbox is wrong")
        if (signed or path == "ticker") and abs(self.now_ms - int(params["timestamp"])) > 60_000:
            return 200, refused("stamp out of this sandbox's window")
        if self.answers.get(path):
            return 200, self.answers[path].pop(0)
        return 200, getattr(self, _NAMES.get(path, f"_{path}"))(params)

    # ---------------------------------------------------------------- endpoints

    def _server_time(self, _params: dict[str, str]) -> Any:
        return {"ServerTime": self.now_ms}

    def _exchange_info(self, _params: dict[str, str]) -> Any:
        return {"IsRunning": True, "InitialWallet": {"USD": 50000}, "TradePairs": {p: _pair(p) for p in MARKET}}

    def _ticker(self, _params: dict[str, str]) -> Any:
        data = {
            pair: {"MaxBid": bid, "MinAsk": ask, "LastPrice": ask, "Change": -0.01, "CoinTradeValue": 12.5}
            for pair, (bid, ask, _, _) in MARKET.items()
        }
        return {"Success": True, "ErrMsg": "", "ServerTime": self.now_ms, "Data": data}

    def _balance(self, _params: dict[str, str]) -> Any:
        return {"Success": True, "ErrMsg": "", self.wallet_name: self.wallet, "MarginWallet": {}}

    def _pending_count(self, _params: dict[str, str]) -> Any:
        pairs = Counter(row["Pair"] for row in self.rows.values() if row["Status"] == "PENDING")
        if not pairs:
            return {**refused("no pending order under this account"), "TotalPending": 0, "OrderPairs": {}}
        return {"Success": True, "ErrMsg": "", "TotalPending": pairs.total(), "OrderPairs": dict(pairs)}

    def _place_order(self, params: dict[str, str]) -> Any:
        bid, ask, _, decimals = MARKET[params["pair"]]
        quantity, buys = Decimal(params["quantity"]), params["side"] == "BUY"
        if quantity != round(quantity, decimals):
            return refused("quantity step size error")
        touch = ask if buys else bid
        price = float(params["price"]) if params["type"] == "LIMIT" else touch
        fills = params["type"] == "MARKET" or (price >= ask if buys else price <= bid)
        row = self.add(
            params["pair"], params["side"], params["quantity"], touch if fills else price, fills, params["type"]
        )
        shown = dict(row) if fills else {**row, "FilledQuantity": 0}
        return {"Success": True, "ErrMsg": "", "OrderDetail": shown}

    def _query_order(self, params: dict[str, str]) -> Any:
        found = sorted(self.rows.values(), key=lambda row: -row["OrderID"])
        if "order_id" in params:
            assert set(params) == {"order_id", "timestamp"}
            found = [row for row in found if row["OrderID"] == int(params["order_id"])]
        if "pair" in params:
            found = [row for row in found if row["Pair"] == params["pair"]]
        if params.get("pending_only") == "TRUE":
            found = [row for row in found if row["Status"] == "PENDING"]
        start = int(params.get("offset", 0)) if self.ask_offset else 0
        found = found[start : start + min(int(params.get("limit", 100)), self.page)]
        return {"Success": True, "ErrMsg": "", "OrderMatched": found} if found else refused("no order matched")

    def _cancel_order(self, params: dict[str, str]) -> Any:
        row = self.rows.get(int(params["order_id"]))
        if row is None or row["Status"] != "PENDING":
            return refused("no order canceled")
        row.update(Status="CANCELED", FinishTimestamp=self.now_ms)
        return {"Success": True, "ErrMsg": "", "CanceledList": [row["OrderID"]]}

    def add(self, pair: str, side: str, quantity: Any, price: float, filled: bool, kind: str = "MARKET") -> Any:
        """A row as a query shows it: unfilled rows say that everything is filled, and only the zeros betray them."""
        many, number = float(quantity), self.next_number
        self.next_number += 7
        amounts = {"FilledAverPrice": price, "CoinChange": many, "UnitChange": int(many * price * 1e6) / 1e6}
        fee = {"CommissionChargeValue": int(many * price * 0.001 * 1e6) / 1e6, "CommissionPercent": 0.001}
        row = {
            "Pair": pair, "OrderID": number, "Status": "FILLED" if filled else "PENDING",
            "Role": "TAKER" if filled else "MAKER", "ServerTimeUsage": 0.005, "CreateTimestamp": self.now_ms,
            "FinishTimestamp": self.now_ms + 6 if filled else 0, "Side": side, "Type": kind, "StopType": "GTC",
            "Price": price, "Quantity": many, "FilledQuantity": many, "CommissionCoin": "USD",
            **(amounts if filled else dict.fromkeys(amounts, 0)), **(fee if filled else dict.fromkeys(fee, 0)),
            "OrderWalletType": "SPOT", "OrderSource": "PUBLIC_API",
        }  # fmt: skip
        self.rows[number] = row
        return row


def _pair(pair: str) -> dict[str, Any]:
    _, _, price, amount = MARKET[pair]
    coin, _, unit = pair.partition("/")
    return {
        "Coin": coin, "CoinFullName": coin, "Unit": unit, "UnitFullName": "US Dollar", "CanTrade": pair != "SHIB/USD",
        "PricePrecision": price, "AmountPrecision": amount, "MiniOrder": 1,
        **({"AssetType": "crypto"} if coin != "SHIB" else {}),
    }  # fmt: skip


def _reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    try:
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
    except OSError:
        return
