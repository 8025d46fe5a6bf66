"""A language model as a critic, through its SDK against a server in its shape: veto, shrink, and nothing more."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("anthropic", reason="the extra llm is not installed")

from evenkeel.events.bets import Bet, Proposal
from evenkeel.venues.llm import Mind, heard, shown
from events.laddered import board, made

D = Decimal
BOARD = board(made(floor=60_000.0))
LEG = Proposal(BOARD.contracts[0].ticker, "KXBTCD-X", "yes", D("0.44"), D(10), D("0.18"), 0.5, 0.55, 0.42, 0.04, 0.09)
BET = Bet((0,), (LEG,), 0.001)


@contextmanager
def server(
    text: str = "", *, status: int = 200, wait_s: float = 0.0, drip_s: float = 0.0, body: bytes | None = None
) -> Iterator[tuple]:
    """A loopback API that says one thing, at once or in twenty drops; its address and what it was asked."""
    asked: list[dict] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = self.rfile.read(int(self.headers["content-length"]))
            asked.append(
                {
                    "path": self.path,
                    "key": self.headers["authorization"] or self.headers["x-api-key"],
                    **json.loads(given),
                }
            )
            time.sleep(wait_s)
            told = {
                "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                "stop_sequence": None, "content": [{"type": "text", "text": text}],
                "usage": {"input_tokens": 1, "output_tokens": 1},
            }  # fmt: skip
            error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
            raw = json.dumps(told if status == 200 else error).encode() if body is None else body
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            with suppress(ConnectionError):  # who waited long enough is gone
                for at in range(0, len(raw), len(raw) // 20 + 1):
                    self.wfile.write(raw[at : at + len(raw) // 20 + 1])
                    time.sleep(drip_s)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    api = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{api.server_port}", asked
    finally:
        api.shutdown()
        api.server_close()


def said(*given, timeout_s: float = 10.0, **more):
    with server(*given, **more) as (url, asked):
        return Mind("a-key", "a-model", url=url, timeout_s=timeout_s)(BET, BOARD), asked


@pytest.mark.parametrize(
    ("answer", "factor", "note"),
    [
        ('{"factor": 0, "reason": "stale"}', 0.0, "stale"),
        ('{"factor": 0.25, "reason": "thin"}', 0.25, "thin"),
        ('```json\n{"factor": 1, "reason": "fine"}\n```', 1.0, "fine"),
        ('{"factor": -3, "reason": "no"}', 0.0, "no"),
        ('{"factor": 5, "reason": "buy more"}', 1.0, "wanted 5 times as much, which it may not: buy more"),
    ],
    ids=["veto", "shrink", "leave", "below nothing", "enlarge"],
)
def test_it_may_veto_and_shrink_and_an_enlargement_is_ignored_and_told(answer, factor, note):
    judgement, asked = said(answer)

    assert (judgement.factor, judgement.note) == (factor, note)
    (call,) = asked
    assert (call["path"], call["model"]) == ("/v1/messages", "a-model")
    assert "a-key" in call["key"]
    assert json.loads(call["messages"][0]["content"])["legs"][0]["edge"] == 0.04


@pytest.mark.parametrize(
    ("given", "note"),
    [
        ({"text": "I would not."}, "not understood"),
        ({"text": '{"factor": "half"}'}, "not understood"),
        ({"text": '{"factor": NaN}'}, "not understood"),
        ({"text": '{"factor": true}'}, "not understood"),
        ({"text": "[1]"}, "not understood"),
        ({"status": 529}, "not heard"),
        ({"status": 401}, "not heard (AuthenticationError)"),
    ],
    ids=["prose", "a word", "NaN", "a truth", "a list", "overloaded", "a wrong key"],
)
def test_what_is_not_understood_leaves_the_rules_verdict_and_is_told(given, note):
    judgement, asked = said(**given)

    assert judgement.factor == 1.0
    assert note in judgement.note
    assert len(asked) == 1  # nothing is asked twice: a turn waits once


def test_an_answer_that_is_no_json_and_one_that_comes_too_late_leave_the_rules_verdict():
    broken, _ = said(body=b"<html>")
    began = time.monotonic()
    late, _ = said('{"factor": 0}', wait_s=1.5, timeout_s=0.2)

    assert (broken.factor, late.factor) == (1.0, 1.0)
    assert "within 0.2 s" in late.note or "Timeout" in late.note
    assert time.monotonic() - began < 30


def test_the_deadline_is_for_the_whole_answer_and_not_for_its_drops():
    """A veto that comes drop by drop is never silent for long, and comes too late."""
    late, _ = said('{"factor": 0}', drip_s=0.1, timeout_s=0.5)

    assert (late.factor, late.note) == (1.0, "no answer within 0.5 s: the rules' verdict stands")


def test_nothing_but_numbers_and_tickers_is_shown():
    """A title could speak to it: none is there."""
    told = shown(BET, BOARD)

    assert set(told) == {"event", "legs", "cost"}
    assert {type(value) for value in told["legs"][0].values()} == {str, float}
    assert {name for name, value in told["legs"][0].items() if isinstance(value, str)} == {"ticker", "side"}


def test_a_number_hidden_in_words_is_read_and_a_long_reason_is_cut():
    assert heard('Sure: {"factor": 0.5, "reason": "' + "x" * 500 + '"} done').note == "x" * 200
