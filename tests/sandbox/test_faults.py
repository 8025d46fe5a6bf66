from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
import requests
import yaml

from evenkeel.errors import UsageError
from evenkeel.sandbox.faults import PASSING, SPOILING, Fault, Faults, parse, read

PLACE = "/roostoo/v3/place_order"
TICKER = "/roostoo/v3/ticker"


def ticker(client, **more):
    return client.get(TICKER, timestamp=int(client.box.clock.now() * 1000), **more)


def test_a_rule_strikes_the_calls_that_it_names():
    """Second and third call of its path and method, whatever else is called between."""
    plan = Faults([Fault("reset", path="/a/*", method="POST", first=2, count=2)])
    calls = [plan.draw(*call) for call in [("POST", "/a/x"), ("GET", "/a/x"), ("POST", "/b")] + [("POST", "/a/y")] * 3]

    assert [bool(hits) for hits in calls] == [False, False, False, True, True, False]
    assert plan.to_json()[0] | {"calls": 4, "struck": 2} == plan.to_json()[0]


def test_draws_depend_on_the_seed_and_the_call_alone():
    """Equal seeds strike equal calls, another seed others; about as many as the probability says."""
    rule = Fault("reset", probability=0.3)
    plans = [Faults([rule], seed=seed) for seed in (1, 1, 2)]
    struck = [[bool(plan.draw("GET", "/")) for _ in range(500)] for plan in plans]

    assert struck[0] == struck[1] != struck[2]
    assert 100 < sum(struck[0]) < 200


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"kind": "reset"}, "is a list of rules"),
        (["reset"], "fault 1 is 'reset'"),
        ([{"kind": "reset"}, {"kind": "explosion"}], "fault 2: kind 'explosion' is none of"),
        ([{"kind": "reset", "paht": "/"}], "no key 'paht'"),
        ([{"kind": "reset", "first": 0}], "first 0 is outside 1"),
        ([{"kind": "reset", "first": True}], "first is True"),
        ([{"kind": "reset", "probability": 1.5}], "probability 1.5 is outside 0..1"),
        ([{"kind": "latency", "seconds": -1}], "is in the past"),
        ([{"kind": "status", "status": "500"}], "has to be int"),
    ],
)
def test_a_rule_that_is_none_is_refused_in_a_sentence(document, message):
    """Which rule, which key, which limit."""
    with pytest.raises(UsageError, match=message):
        parse(document)


def test_a_plan_is_read_from_yaml_and_json(tmp_path):
    """A list, or a mapping with the list under `faults`; a file that is none is refused."""
    yaml, json = tmp_path / "a.yaml", tmp_path / "b.json"
    yaml.write_text("faults:\n  - {kind: latency, seconds: 2}\n")
    json.write_text('[{"kind": "latency", "seconds": 2}]')

    assert read(yaml) == read(json) == (Fault("latency", seconds=2),)
    yaml.write_text("{")
    for path in (yaml, tmp_path / "none.yaml"):
        with pytest.raises(UsageError, match="fault plan"):
            read(path)


def test_a_reset_before_acceptance_places_nothing(served):
    """The connection ends without an answer, and the account has no order."""
    client = served(Fault("reset", path=PLACE, count=1))

    with pytest.raises(requests.ConnectionError):
        client.place("BUY", "1")
    assert client.orders()["ErrMsg"] == "no order matched"
    assert client.place("BUY", "1")["Success"]


def test_a_reset_after_acceptance_has_placed_the_order(served):
    """The client knows nothing; the venue has the order, once."""
    client = served(Fault("reset", path=PLACE, accepted=True))

    with pytest.raises(requests.ConnectionError):
        client.place("BUY", "1")
    assert [row["Status"] for row in client.orders()["OrderMatched"]] == ["FILLED"]


def test_a_reset_is_a_reset(served):
    """The socket hears RST, not an orderly end."""
    client = served(Fault("reset"))
    host, port = client.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(f"GET {TICKER} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

        with pytest.raises(ConnectionResetError):
            raw.recv(1)


@pytest.mark.parametrize(("accepted", "orders"), [(False, 0), (True, 1)])
def test_a_server_error_before_or_after_acceptance(served, accepted, orders):
    """The same 502; only one of them has an order behind it."""
    client = served(Fault("status", path=PLACE, status=502, accepted=accepted, count=1))
    answer = client.signed("POST", "place_order", pair="BTC/USD", side="BUY", type="MARKET", quantity="1")

    assert answer.status_code == 502
    assert len(client.state()["orders"]) == orders


def test_too_many_requests_say_when_to_come_back(served):
    """429 with Retry-After."""
    client = served(Fault("rate_limit", path=TICKER, seconds=7, count=1))
    answer = ticker(client)

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert ticker(client).json()["Success"]


def test_maintenance_is_503(served):
    """For every path of the venue, until the plan says otherwise."""
    client = served(Fault("maintenance", path="/roostoo/*"))

    assert {ticker(client).status_code, client.signed("GET", "balance").status_code} == {503}
    client.put("/sandbox/faults", [])
    assert ticker(client).status_code == 200


def test_a_proxys_page_comes_with_200(served):
    """No JSON in it."""
    answer = ticker(served(Fault("html")))

    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_huge_body_has_the_size_that_was_asked_for(served):
    """Valid JSON that means nothing."""
    answer = ticker(served(Fault("huge", size=2_000_000)))

    assert len(answer.content) == 2_000_000
    assert "Data" not in answer.json()


def test_a_stale_body_is_the_previous_answer(served):
    """The same bytes although the market has moved; then the truth again."""
    client = served(Fault("stale", path=TICKER, first=2, count=1))
    bodies = []
    for _ in range(3):
        bodies.append(ticker(client).content)
        client.box.clock.advance(60)

    assert bodies[0] == bodies[1] != bodies[2]


def test_a_stale_body_without_a_previous_one_is_the_truth(served):
    """Nothing is made up."""
    assert ticker(served(Fault("stale"))).json()["Success"]


@pytest.mark.parametrize("accepted", [False, True])
def test_an_answer_that_comes_too_late_does_not_undo_the_order(served, accepted):
    """Where the client gives up waiting, the venue places the order all the same, once."""
    client = served(Fault("latency", path=PLACE, seconds=0.4, accepted=accepted, count=1))
    sent = {"pair": "BTC/USD", "side": "BUY", "type": "MARKET", "quantity": "1"}
    sent["timestamp"] = str(int(client.box.clock.now() * 1000))

    with pytest.raises(requests.Timeout):
        requests.post(client.url + PLACE, data=sent, headers=client.headers(sent), timeout=0.2)
    for _ in range(500):
        if client.state()["orders"]:
            break
        time.sleep(0.02)
    assert len(client.state()["orders"]) == 1


def test_a_skewed_venue_refuses_the_right_time(served):
    """Its clock is 70 s ahead: outside the window, and serverTime says so."""
    client = served(Fault("skew", seconds=70.0))
    now = client.box.clock.now()

    assert client.get("/roostoo/v3/serverTime").json()["ServerTime"] == int((now + 70) * 1000)
    assert client.signed("GET", "balance").json()["Success"] is False
    assert client.signed("GET", "balance", at=now + 70).json()["Success"] is True


def test_a_changed_precision_is_announced_and_enforced(served):
    """The venue says 2 decimals, and 3 are refused."""
    client = served(Fault("precision", asset="BTC", amount_decimals=2, price_decimals=0))
    row = client.get("/roostoo/v3/exchangeInfo").json()["TradePairs"]["BTC/USD"]

    assert (row["AmountPrecision"], row["PricePrecision"]) == (2, 0)
    assert client.place("BUY", "1.001")["ErrMsg"] == "quantity step size error"
    assert client.place("BUY", "1.01", "90.5")["ErrMsg"] == "price step size error"
    assert client.place("BUY", "1.01")["Success"]


def test_a_suspended_pair_cannot_be_traded(served):
    """CanTrade is false and orders are refused; the other pairs trade on."""
    client = served(Fault("suspend", asset="BTC"))
    pairs = client.get("/roostoo/v3/exchangeInfo").json()["TradePairs"]

    assert (pairs["BTC/USD"]["CanTrade"], pairs["PEPE/USD"]["CanTrade"]) == (False, True)
    assert client.place("BUY", "1")["Success"] is False
    assert client.place("BUY", "1000000", pair="PEPE/USD")["Success"] is True


def test_a_lost_cancel_is_confirmed_and_not_done(served):
    """CanceledList names the order, which is still pending; the next cancel is done."""
    client = served(Fault("lost_cancel", path="*/cancel_order", count=1))
    order = client.place("BUY", "1", "81")["OrderDetail"]["OrderID"]

    assert client.signed("POST", "cancel_order", order_id=order).json()["CanceledList"] == [order]
    assert client.orders(order_id=order)["OrderMatched"][0]["Status"] == "PENDING"


def test_every_kind_is_described():
    """Each stands in exactly one table, with a sentence, and on the page that people read; the page's plan is one."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "sandbox.md").read_text()
    plan = page.partition("```yaml\n")[2].partition("```")[0]

    assert [kind for kind in (*SPOILING, *PASSING) if f"\n| `{kind}` |" not in page] == []
    assert len(parse(yaml.safe_load(plan))) == 3
    assert not set(SPOILING) & set(PASSING)
    assert all({**SPOILING, **PASSING}.values())
    assert [parse([{"kind": kind}])[0].kind for kind in (*SPOILING, *PASSING)] == [*SPOILING, *PASSING]
