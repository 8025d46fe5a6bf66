"""Whose call is it? The sandbox's one Kalshi key, which follows from its seed, and the check of a signature.

The signed text is timestamp + method + whole path without query; RSA-PSS, SHA-256, salt of 32 bytes.
Source: specs/kalshi.md section 2.
"""

from __future__ import annotations

import base64
import hashlib
import math
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from evenkeel.errors import NotReadyError

_EXPONENT: Final = 65_537
_SMALL: Final = tuple(n for n in range(3, 2_000, 2) if all(n % d for d in range(3, math.isqrt(n) + 1, 2)))


@cache
def key_id(seed: int) -> str:
    """The key's id."""
    return str(uuid.UUID(bytes=hashlib.sha256(f"{seed}|kalshi".encode()).digest()[:16], version=4))


@cache
def private_key(seed: int) -> Any:
    """The RSA key of a seed: always the same, so it protects nothing. Raises NotReadyError without cryptography."""
    try:
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - only who signs needs it
    except ImportError as error:
        raise NotReadyError("Kalshi's sandbox needs cryptography: pip install 'evenkeel[kalshi]'") from error
    p, q = _prime(seed, "p"), _prime(seed, "q")
    d = pow(_EXPONENT, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(_EXPONENT, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


def pem(seed: int) -> str:
    """The private key as a file holds it."""
    key = private_key(seed)
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - as above

    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return str(key.private_bytes(*form).decode())


def verified(seed: int, headers: Mapping[str, str], method: str, path: str) -> bool:
    """Whether the three headers are those of the key's owner."""
    key = private_key(seed)
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415 - as above

    text = headers.get("kalshi-access-timestamp", "") + method + path
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256().digest_size)
    try:
        given = base64.b64decode(headers.get("kalshi-access-signature", ""), validate=True)
        key.public_key().verify(given, text.encode(), pss, hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return headers.get("kalshi-access-key") == key_id(seed)


def _prime(seed: int, name: str) -> int:
    """A prime of 1024 bits that follows from the seed, and fits the exponent."""
    raw = b"".join(hashlib.sha512(f"{seed}|{name}|{part}".encode()).digest() for part in range(2))
    number = int.from_bytes(raw, "big") | (3 << 1022) | 1
    while not (_is_prime(number) and (number - 1) % _EXPONENT):
        number += 2
    return number


def _is_prime(number: int) -> bool:
    """By small divisors, then by Fermat's test with four bases: enough for numbers that nobody chose."""
    return all(number % small for small in _SMALL) and all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7))
