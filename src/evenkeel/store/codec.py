"""Dataclasses of `evenkeel.types` to JSON values and back, without loss and without tolerance.

to_json: dataclass -> dict of JSON values; from_json: the way back. Decimal travels as its digits, an enum as its value,
a tuple or array as a list, NaN as null (as "nan" where null already means None), infinities as "inf" and "-inf".
The one law: `from_json(type(x), to_json(x)) == x`. What is annotated `Any` passes as it is and must be JSON already.
Order is kept: a mapping that was read back iterates as the one that was written.
"""

from __future__ import annotations

import math
import operator
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import orjson
from numpy.typing import NDArray

from evenkeel.errors import StateError
from evenkeel.units import plain

T = TypeVar("T")
Encoder = Callable[[Any], Any]
Decoder = Callable[[Any, str], Any]

_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def to_json(obj: Any) -> dict[str, Any]:
    """A dataclass as a dict of JSON values. Raises StateError for money that is not finite."""
    cls: Any = type(obj)
    encoded: dict[str, Any] = _encoder(cls)(obj)
    return encoded


def from_json(cls: type[T], data: Any, path: str = "") -> T:
    """A dataclass from what `to_json` gave.

    Raises StateError, naming the key's path, for a key that is unknown, missing without a default, or of another type.
    """
    hint: Any = cls
    decoded: T = _decoder(hint)(data, path or cls.__name__.lower())
    return decoded


def dumps(value: Any, *, ordered: bool = False) -> bytes:
    """Compact JSON bytes; `ordered` sorts the keys (for digests). Decimals inside `Any` become plain digits."""
    option = orjson.OPT_SERIALIZE_NUMPY | (orjson.OPT_SORT_KEYS if ordered else 0)
    return orjson.dumps(value, _foreign, option)


def field_encoders(cls: type) -> tuple[tuple[str, Encoder], ...]:
    """Field names of a dataclass in their order, each with the function that makes JSON values of it."""
    hints = get_type_hints(cls)
    return tuple((field.name, _encoder(hints[field.name])) for field in fields(cls))


def _foreign(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in state.json")


def _same(value: Any) -> Any:
    return value


# ---------------------------------------------------------------- encoding


@cache
def _encoder(hint: Any) -> Encoder:
    simple = _SIMPLE_ENCODERS.get(hint)
    if simple is not None:
        return simple
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass_encoder(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return operator.attrgetter("value")
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _optional_encoder(_only_optional(hint))
    if origin is tuple:
        return _tuple_encoder(arguments)
    if origin is np.ndarray:
        return _encode_array
    if origin in (Mapping, dict) and arguments[0] is str:
        return _mapping_encoder(_encoder(arguments[1]))
    raise TypeError(f"the codec knows no {hint}")


def _encode_decimal(value: Decimal) -> str:
    """Digits that give back the same Decimal, its trailing zeros included; an exponent only if it is positive."""
    if not value.is_finite():
        raise StateError(f"{value} is no amount of money or units: nothing was written")
    text = str(value)
    return format(value, "f") if "E-" in text else text


def _encode_float(value: float) -> float | str | None:
    if math.isfinite(value):
        return float(value)
    return None if math.isnan(value) else str(float(value))


def _encode_known_float(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))


def _encode_array(value: NDArray[Any]) -> Any:
    if value.dtype.kind != "f" or np.isfinite(value).all():
        return value.tolist()
    special = value.astype(object)
    for place in np.argwhere(~np.isfinite(value)):
        special[tuple(place)] = _encode_float(float(value[tuple(place)]))
    return special.tolist()


_SIMPLE_ENCODERS: dict[Any, Encoder] = {
    Any: _same,
    str: _same,
    bool: _same,
    int: operator.index,
    float: _encode_float,
    Decimal: _encode_decimal,
}


def _dataclass_encoder(cls: type) -> Encoder:
    rows = field_encoders(cls)

    def encode(obj: Any) -> dict[str, Any]:
        return {name: encoder(getattr(obj, name)) for name, encoder in rows}

    return encode


def _optional_encoder(hint: Any) -> Encoder:
    encoder = _encode_known_float if hint is float else _encoder(hint)

    def encode(value: Any) -> Any:
        return None if value is None else encoder(value)

    return encode


def _tuple_encoder(arguments: tuple[Any, ...]) -> Encoder:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        encoder = _encoder(arguments[0])
        return lambda value: [encoder(item) for item in value]
    encoders = [_encoder(argument) for argument in arguments]
    return lambda value: [encode(item) for encode, item in zip(encoders, value, strict=True)]


def _mapping_encoder(encoder: Encoder) -> Encoder:
    return lambda value: {str(key): encoder(item) for key, item in value.items()}


def _only_optional(hint: Any) -> Any:
    rest = [argument for argument in get_args(hint) if argument is not types.NoneType]
    if len(rest) != 1:
        raise TypeError(f"the codec knows no {hint}: a union may only add None")
    return rest[0]


# ---------------------------------------------------------------- decoding


@cache
def _decoder(hint: Any) -> Decoder:
    simple = _SIMPLE_DECODERS.get(hint)
    if simple is not None:
        return simple
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass_decoder(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_decoder(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _optional_decoder(_decoder(_only_optional(hint)))
    if origin is tuple:
        return _tuple_decoder(arguments)
    if origin is np.ndarray:
        return _array_decoder(np.dtype(get_args(arguments[1])[0]))
    if origin in (Mapping, dict) and arguments[0] is str:
        return _mapping_decoder(_decoder(arguments[1]))
    raise TypeError(f"the codec knows no {hint}")


def _wrong(path: str, wanted: str, value: Any) -> StateError:
    return StateError(f"{path} must be {wanted}, not {value!r:.60}")


def _decode_str(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "a text", value)
    return value


def _decode_bool(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, "true or false", value)
    return value


def _decode_int(value: Any, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(path, "a whole number", value)
    return value


def _decode_float(value: Any, path: str) -> float:
    if isinstance(value, float):
        return value
    if value is None:
        return math.nan
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    raise _wrong(path, "a number", value)


def _decode_decimal(value: Any, path: str) -> Decimal:
    if not isinstance(value, str):
        raise _wrong(path, "a decimal number in quotes", value)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise _wrong(path, "a decimal number in quotes", value) from None
    if not number.is_finite():
        raise _wrong(path, "a finite decimal number", value)
    return number


_SIMPLE_DECODERS: dict[Any, Decoder] = {
    Any: lambda value, _path: value,
    str: _decode_str,
    bool: _decode_bool,
    int: _decode_int,
    float: _decode_float,
    Decimal: _decode_decimal,
}


def _dataclass_decoder(cls: type) -> Decoder:
    hints = get_type_hints(cls)
    rows = {field.name: _decoder(hints[field.name]) for field in fields(cls)}
    needed = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}

    def decode(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        for name in value.keys() - rows.keys():
            raise StateError(f"{path}.{name} is a key that this version does not know")
        for name in needed - value.keys():
            raise StateError(f"{path}.{name} is missing")
        return cls(**{name: rows[name](item, f"{path}.{name}") for name, item in value.items()})

    return decode


def _enum_decoder(cls: type[Enum]) -> Decoder:
    members = {member.value: member for member in cls}

    def decode(value: Any, path: str) -> Enum:
        if not isinstance(value, str) or value not in members:
            raise _wrong(path, "one of " + ", ".join(members), value)
        return members[value]

    return decode


def _optional_decoder(decoder: Decoder) -> Decoder:
    return lambda value, path: None if value is None else decoder(value, path)


def _tuple_decoder(arguments: tuple[Any, ...]) -> Decoder:
    endless = len(arguments) == 2 and arguments[1] is Ellipsis
    decoders = [_decoder(argument) for argument in (arguments[:1] if endless else arguments)]

    def decode(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or not (endless or len(value) == len(decoders)):
            raise _wrong(path, "a list" if endless else f"a list of {len(decoders)}", value)
        row = decoders * len(value) if endless else decoders
        return tuple(decoder(item, f"{path}[{i}]") for i, (decoder, item) in enumerate(zip(row, value, strict=True)))

    return decode


def _array_decoder(dtype: np.dtype[Any]) -> Decoder:
    def decode(value: Any, path: str) -> NDArray[Any]:
        cells = np.array(value, dtype=object)
        if not isinstance(value, list) or any(isinstance(cell, list) for cell in cells.flat):
            raise _wrong(path, "a list of numbers", value)
        one = _decode_float if dtype.kind == "f" else _decode_bool if dtype.kind == "b" else _decode_int
        array = np.array([one(cell, path) for cell in cells.flat], dtype=dtype).reshape(cells.shape)
        array.flags.writeable = False
        return array

    return decode


def _mapping_decoder(decoder: Decoder) -> Decoder:
    def decode(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        return {key: decoder(item, f"{path}.{key}") for key, item in value.items()}

    return decode
