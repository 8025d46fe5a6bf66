"""What does Kalshi answer to a call? A reply, or one of a few errors; requests are signed by RSA-PSS or Ed25519.

VenueError: refused in words, or never sent, so nothing was placed. VenueUnknownError: everything else, so what happened
is not known. The law: reads may be asked again, an order leaves once; no key stands in any text. Fractions are Decimal.
Source: specs/kalshi.md sections 1, 2, 7. Both shapes of errors are understood: flat, and wrapped in `error`.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import requests

from evenkeel.errors import AccessRefusedError, VenueError, VenueUnknownError
from evenkeel.venues.kalshi_tokens import Tokens
from evenkeel.venues.one_request import Answer, Connect, Request, exchange, sends_once

Params = Sequence[tuple[str, str]]
"""Of the query, in order; a name may stand there more than once."""
Reply = Mapping[str, Any]
T = TypeVar("T")

COST = 10
"""Tokens of a call, unless the endpoint says otherwise."""
_TRIES = 3
_FIRST_WAIT_S = 1.0
_TURN_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Host:
    """Addresses of one environment: REST with its version, and WebSocket."""

    rest: str
    stream: str


HOSTS: Mapping[str, Host] = {
    "prod": Host("https://external-api.kalshi.com/trade-api/v2", "wss://external-api-ws.kalshi.com/trade-api/ws/v2"),
    "demo": Host(
        "https://external-api.demo.kalshi.co/trade-api/v2", "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2"
    ),
}


class GoneError(VenueError):
    """HTTP 410: the venue has retired this endpoint; nothing was placed and never will be."""


class AbsentError(VenueError):
    """HTTP 404: the venue knows no such thing."""


class RefusedError(VenueError):
    """The venue's own words of refusal; `code` is its short word, or ``."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class SeenError(VenueUnknownError):
    """HTTP 409 to an order: its client id was used before, so an earlier send arrived and has to be looked for."""


class _AgainError(VenueUnknownError):
    """HTTP 429: too many calls. The venue never says for how long, and not that an order was left undone."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call of the API; `{name}` in the path is filled in.

    signed  refused without a key; any other call is signed if there is one · cost  tokens
    once    changes something, so it is never repeated, and takes from the bucket of writes
    urgent  takes risk away (cancels): it may use the tokens that are kept
    """

    method: str
    path: str
    signed: bool = False
    once: bool = False
    cost: int = COST
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """The key's id and its private key (PEM text); shown by neither `repr` nor errors. Raises VenueError for none."""

    key: str = field(repr=False)
    pem: str = field(repr=False)
    _sign: Callable[[bytes], bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.key or not (self.key.isascii() and self.key.isprintable()) or " " in self.key:
            raise VenueError("kalshi's API key id is none: copy it from the account's API keys, without spaces")
        object.__setattr__(self, "_sign", _signer(self.pem))

    def headers(self, method: str, path: str, at_ms: int) -> dict[str, str]:
        """The three headers of a signed call. path  the URL's whole path, without its query."""
        signed = base64.b64encode(self._sign(f"{at_ms}{method}{path}".encode())).decode()
        return {
            "KALSHI-ACCESS-KEY": self.key,
            "KALSHI-ACCESS-TIMESTAMP": str(at_ms),
            "KALSHI-ACCESS-SIGNATURE": signed,
        }

    def hidden_in(self, text: str) -> str:
        """The text without the key's id."""
        return text.replace(self.key, "***")


def _signer(pem: str) -> Callable[[bytes], bytes]:
    """Signs with RSA-PSS (SHA-256, salt of 32 bytes) or Ed25519, as the key is. Raises VenueError for another."""
    try:
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - only who has a key needs it
        from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa  # noqa: PLC0415 - as above
    except ImportError as error:
        raise VenueError("signed calls of kalshi need cryptography: pip install 'evenkeel[kalshi]'") from error
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise VenueError("kalshi's private key cannot be read: a PEM file without a password is expected") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign
    if not isinstance(key, rsa.RSAPrivateKey):
        raise VenueError("kalshi's private key is of another kind: RSA or Ed25519 is expected")
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256().digest_size)
    return lambda text: key.sign(text, pss, hashes.SHA256())


def understood(answer: Answer, *, once: bool = False, hidden: Callable[[str], str] = str) -> Reply:
    """The reply in an answer.

    once  the call may have changed something · hidden  takes what must not be shown out of the venue's words
    Raises AccessRefusedError, GoneError, AbsentError, RefusedError, SeenError, VenueUnknownError.
    """
    status, reply = answer.status, _json(answer.body)
    code, words = refusal_of(reply)
    told = hidden(" ".join(f"{code}: {words}".strip(": ").split()))[:200]
    said = f"HTTP {status} {told}".rstrip()
    if status in {200, 201}:
        return _sound(reply, told)
    if status == 429:
        raise _AgainError("too many calls (HTTP 429)")
    if status in {401, 403, 451}:
        raise AccessRefusedError(f"no access ({said}): check the key's id, its private key and this computer's clock")
    if status == 410:
        raise GoneError(f"{said}: the venue has retired this call; a newer evenkeel is needed")
    if status == 409 and once:
        raise SeenError(f"{said}: the venue has seen this id before, so it has to be asked what became of it")
    if status == 404 and told:
        raise AbsentError(said)
    if told and 400 <= status < 500 and status not in {408, 425}:
        raise RefusedError(said, code)
    raise VenueUnknownError(said)


def refusal_of(reply: Reply | None) -> tuple[str, str]:
    """Code and words of an error, both `` where there is none: flat, wrapped in `error`, or `error` as plain text."""
    found = {} if reply is None else reply.get("error", reply)
    if isinstance(found, str):
        return "", found
    if not isinstance(found, Mapping):
        return "", ""
    code, words, details = (found.get(name) for name in ("code", "message", "details"))
    parts = [part for part in (words, details) if isinstance(part, str) and part]
    return (code if isinstance(code, str) else ""), "; ".join(parts)


def _sound(reply: Reply | None, told: str) -> Reply:
    if reply is None:
        raise VenueUnknownError("the answer is no JSON object")
    if "error" in reply:
        raise VenueUnknownError(f"the answer is a success that says {told or 'error'}")
    return reply


def _json(body: bytes) -> Reply | None:
    """The JSON object in a body, or None."""
    try:
        found = json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _no_number(text: str) -> None:
    raise ValueError(text)


def always() -> bool:
    """Nothing forbids the call."""
    return True


class Wire:
    """Asks Kalshi. Safe for several threads.

    account        whose calls these are; None = public data only, nothing is signed
    reads, writes  the two buckets, shared by everybody who calls from this account
    connect        makes a session for each request; its adapters must not repeat requests
    clock          UTC s now · sleep  waiting · timeout_s  longest that one request may take in all
    carry          brings one request there and the answer back; a simulation has no sockets
    """

    def __init__(
        self,
        base_url: str,
        account: Credentials | None = None,
        *,
        reads: Tokens | None = None,
        writes: Tokens | None = None,
        connect: Connect = requests.Session,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        carry: Callable[[Connect, Request, float], Answer] = exchange,
    ) -> None:
        with connect() as session:
            if not sends_once(session, base_url):
                raise VenueError("the HTTP session repeats requests on its own: mount adapters with max_retries=0")
        self._base_url, self._account, self._connect = base_url.rstrip("/"), account, connect
        # Basic tier less a fifth: our requests may come closer together there than they left here.
        self._reads = Tokens(160, 160) if reads is None else reads
        self._writes = Tokens(80, 80, kept=20) if writes is None else writes
        self._timeout_s, self._clock, self._sleep, self._carry = timeout_s, clock, sleep, carry

    def now_s(self) -> float:
        """UTC s by our clock."""
        return self._clock()

    def ask(
        self,
        endpoint: Endpoint,
        meaning: Callable[[Reply], T],
        params: Params = (),
        *,
        body: Mapping[str, Any] | None = None,
        allowed: Callable[[], bool] = always,
        **places: str,
    ) -> T:
        """What the reply means. A read is tried three times, anything else once.

        meaning  reads the reply and raises VenueUnknownError if it cannot · places  fill the path
        allowed  asked when the call's turn has come, just before the socket; False = it is not sent
        Raises VenueError (refused, or not sent at all) and VenueUnknownError; every text names the call.
        """
        path = _path(endpoint, places)
        try:
            return self._tried(endpoint, lambda: meaning(self._once(endpoint, path, params, body, allowed)))
        except (VenueError, VenueUnknownError) as error:
            error.args = (f"kalshi {endpoint.method} {path}: {error}",)
            raise

    def _tried(self, endpoint: Endpoint, call: Callable[[], T]) -> T:
        """One call, and again, ever later, while nothing usable comes and it is a read."""
        tries = 1 if endpoint.once else _TRIES
        for turn in range(1, tries + 1):
            wait_s = _FIRST_WAIT_S * 2.0 ** (turn - 1)
            try:
                return call()
            except _AgainError:
                self._bucket(endpoint).hold(wait_s)
                if turn == tries:
                    raise
            except SeenError:
                raise
            except VenueUnknownError:
                if turn == tries:
                    raise
                self._sleep(wait_s)
        raise AssertionError

    def _once(
        self,
        endpoint: Endpoint,
        path: str,
        params: Params,
        body: Mapping[str, Any] | None,
        allowed: Callable[[], bool],
    ) -> Reply:
        if endpoint.signed and self._account is None:
            raise VenueError("not sent, this needs an API key: set KALSHI_KEY_ID and KALSHI_PRIVATE_KEY")
        if not self._bucket(endpoint).take(endpoint.cost, urgent=endpoint.urgent, within_s=_TURN_WITHIN_S):
            raise VenueError(f"not sent, no call came free within {_TURN_WITHIN_S:.0f} s")
        if not allowed():
            raise VenueError("not sent, no longer allowed when its turn came")
        request = self._request(endpoint, path, params, body)
        answer = self._carry(self._connect, request, self._timeout_s)
        return understood(answer, once=endpoint.once, hidden=str if self._account is None else self._account.hidden_in)

    def _request(self, endpoint: Endpoint, path: str, params: Params, body: Mapping[str, Any] | None) -> Request:
        url = self._base_url + path
        headers = {"User-Agent": "evenkeel", "Accept": "application/json"}
        if self._account is not None:
            headers |= self._account.headers(endpoint.method, urlsplit(url).path, int(self._clock() * 1000))
        query = f"?{urlencode(params)}" if params else ""
        if body is None:
            return Request(endpoint.method, url + query, headers)
        sent = json.dumps(body, separators=(",", ":")).encode()
        return Request(endpoint.method, url + query, headers | {"Content-Type": "application/json"}, sent)

    def _bucket(self, endpoint: Endpoint) -> Tokens:
        return self._writes if endpoint.once else self._reads


def _path(endpoint: Endpoint, places: Mapping[str, str]) -> str:
    """The path with its places filled. Raises VenueError for a name that would lead elsewhere."""
    for name, value in places.items():
        if not value or not value.isascii() or set(value) & set("/?#%& ") or value in {".", ".."}:
            raise VenueError(f"{name} {value!r} is no name at kalshi")
    return endpoint.path.format(**places)
