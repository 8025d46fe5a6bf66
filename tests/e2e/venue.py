"""A sandbox as its user starts it, a home that may trade there, and a stranger in between who repeats all he hears."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import requests

from e2e.program import running, sets
from evenkeel.config.secrets import LIVE, LIVE_WORD

COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "BNB")
ALLOWED = {LIVE: LIVE_WORD}


@dataclass(frozen=True)
class Venue:
    """A running sandbox: what it told about itself."""

    told: dict[str, Any]

    def state(self) -> dict[str, Any]:
        """Roostoo's accounts and orders, exactly."""
        found: dict[str, Any] = requests.get(f"{self.told['controls']}/state", timeout=10).json()
        return found["venues"]["roostoo"]  # type: ignore[no-any-return]

    def faults(self, *rules: dict[str, Any]) -> None:
        """Another plan of what goes wrong."""
        requests.put(f"{self.told['controls']}/faults", json=list(rules), timeout=10).raise_for_status()

    def live(self, *more: str, url: str = "") -> list[str]:
        """Options of a run whose orders go there."""
        return sets(
            "dry_run=false", "venue.kind=roostoo", f"venue.url={url or self.told['roostoo']}",
            f"feed.hosts=[{self.told['binance']}]", "feed.confirm_s=0", f"universe.only=[{','.join(COINS)}]",
            "history.days=45", "opinions.min_history_days=10", "strategy=buy_and_hold", *more,
        )  # fmt: skip

    def keys(self, home: Path, *, key: str = "", secret: str = "") -> Path:
        """The home with its keys in `.env`."""
        home.mkdir(parents=True, exist_ok=True)
        path = home / ".env"
        path.touch(mode=0o600)
        path.write_text(
            f"ROOSTOO_API_KEY={key or self.told['key']}\nROOSTOO_API_SECRET={secret or self.told['secret']}\n"
        )
        return home


@contextmanager
def sandbox(folder: Path, *options: str) -> Iterator[Venue]:
    """`evenkeel sandbox` on a free port."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ("sandbox", "--port", "0", "--json", "--past", "75", "--days", "2", *options)
    with (folder / "stderr").open("w+") as stderr, running(folder, *words, stderr=stderr) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or lines[-1].rstrip() != "}":
            line = process.stdout.readline()
            assert line, (folder / "stderr").read_text()
            lines.append(line)
        yield Venue(json.loads("".join(lines)))


class Gossip(ThreadingHTTPServer):
    """Passes calls on to a venue, but answers an order with everything that came with it, each in another way."""

    daemon_threads = True

    def __init__(self, venue: str) -> None:
        super().__init__(("127.0.0.1", 0), _Gossip)
        self.venue = venue
        self.heard: list[str] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        """Serve from a thread."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.shutdown()
        self.server_close()


class _Gossip(BaseHTTPRequestHandler):
    server: Gossip

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/place_order"):
            self._repeat(f"{dict(self.headers)} {body.decode()} {self.path}")
            return
        kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length", "connection")}
        answer = requests.request(method, self.server.venue + self.path, data=body, headers=kept, timeout=10)
        self._answer(answer.status_code, answer.content)

    def _repeat(self, text: str) -> None:
        refusal = json.dumps({"Success": False, "ErrMsg": text}).encode()
        ways = [(200, refusal), (401, refusal), (500, text.encode()), (200, text.encode()), (400, refusal)]
        self.server.heard.append(text)
        self._answer(*ways[(len(self.server.heard) - 1) % len(ways)])

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
