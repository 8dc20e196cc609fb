"""The 18 intrinsic functions of the States Language. Pure: randomness comes in with the scope."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
import uuid
from collections.abc import Callable
from random import Random
from typing import Any

from imagery.orchestrators.embedded.errors import INTRINSIC, StateFailed
from imagery.orchestrators.embedded.limits import MAX_DEPTH, is_too_deep
from imagery.orchestrators.embedded.rows import dump

MAX_RANGE = 1000
MAX_TEXT = 10_000
"""Characters States.Hash and the Base64 functions take."""

INT_MIN, INT_MAX = -(2**31), 2**31 - 1

MAX_INTEGER = 10**15
"""Beyond it a number that went through another JSON library may be another."""

_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def to_text(value: Any) -> str:
    """JSON without spaces, as the service writes it."""
    return _ENCODER.encode(value)


def same(left: Any, right: Any) -> bool:
    """Equal as JSON values: 1 equals 1.0, but not true."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def _refuse(reason: str) -> StateFailed:
    return StateFailed(INTRINSIC, reason)


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _refuse(f"{what} must be an array, got {to_text(value)}")
    return value


def _string(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise _refuse(f"{what} must be a string, got {to_text(value)}")
    return value


def _integer(value: Any, what: str) -> int:
    """Non-integers are rounded half up, as the service documents."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise _refuse(f"{what} must be a number of up to 15 digits, got {to_text(value)}")
    return value if isinstance(value, int) else math.floor(value + 0.5)


def _bounded(text: str, what: str) -> str:
    if len(text) > MAX_TEXT:
        raise _refuse(f"{what} takes up to {MAX_TEXT} characters, got {len(text)}")
    return text


def _array(*values: Any) -> list[Any]:
    return list(values)


def _array_partition(array: Any, size: Any) -> list[Any]:
    items, step = _list(array, "the first argument"), _integer(size, "the chunk size")
    if step <= 0:
        raise _refuse(f"the chunk size must be positive, got {step}")
    return [items[start : start + step] for start in range(0, len(items), step)]


def _array_contains(array: Any, value: Any) -> bool:
    return any(same(item, value) for item in _list(array, "the first argument"))


def _array_range(first: Any, last: Any, step: Any) -> list[int]:
    start, stop, stride = _integer(first, "the start"), _integer(last, "the end"), _integer(step, "the step")
    if stride == 0:
        raise _refuse("the step must not be zero")
    values = range(start, stop + (1 if stride > 0 else -1), stride)
    if len(values) > MAX_RANGE:
        raise _refuse(f"the range would have more than {MAX_RANGE} items")
    return list(values)


def _array_get_item(array: Any, index: Any) -> Any:
    items, place = _list(array, "the first argument"), _integer(index, "the index")
    if not 0 <= place < len(items):
        raise _refuse(f"index {place} is outside the array of {len(items)}")
    return items[place]


def _array_length(array: Any) -> int:
    return len(_list(array, "the argument"))


def _array_unique(array: Any) -> list[Any]:
    unique: dict[str, Any] = {}
    for item in _list(array, "the argument"):
        unique.setdefault(json.dumps(item, sort_keys=True), item)
    return list(unique.values())


def _base64_encode(text: Any) -> str:
    return base64.b64encode(_bounded(_string(text, "the argument"), "States.Base64Encode").encode()).decode()


def _base64_decode(text: Any) -> str:
    try:
        return base64.b64decode(_bounded(_string(text, "the argument"), "States.Base64Decode"), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _refuse(f"not Base64 of UTF-8 text: {error}") from error


def _hash(data: Any, algorithm: Any) -> str:
    if not isinstance(algorithm, str) or algorithm not in _HASHES:
        raise _refuse(f"the algorithm must be one of {', '.join(_HASHES)}, got {to_text(algorithm)}")
    text = data if isinstance(data, str) else to_text(data)
    return hashlib.new(_HASHES[algorithm], _bounded(text, "States.Hash").encode(), usedforsecurity=False).hexdigest()


def _json_merge(first: Any, second: Any, deep: Any) -> dict[str, Any]:
    if not isinstance(first, dict) or not isinstance(second, dict):
        raise _refuse("both values must be objects")
    if deep is not False:
        raise _refuse("only shallow merging is supported: the third argument must be false")
    return {**first, **second}


def _string_to_json(text: Any) -> Any:
    if not _string(text, "the argument"):
        return None
    try:
        value = json.loads(text)
        # Python reads NaN, 1e999 and halves of surrogate pairs; nothing could store or send them.
        dump(value).encode()
    except (ValueError, RecursionError) as error:
        raise _refuse(f"not JSON: {error}") from error
    if is_too_deep(value):
        raise _refuse(f"nested more than {MAX_DEPTH} levels deep")
    return value


def _math_add(first: Any, second: Any) -> int:
    terms = _integer(first, "the first argument"), _integer(second, "the second argument")
    if not all(INT_MIN <= value <= INT_MAX for value in (*terms, sum(terms))):
        raise _refuse(f"numbers must lie between {INT_MIN} and {INT_MAX}")
    return sum(terms)


def _math_random(chance: Random, first: Any, last: Any, seed: Any = None) -> int:
    start, end = _integer(first, "the start"), _integer(last, "the end")
    if start >= end:
        raise _refuse(f"the start ({start}) must be less than the end ({end})")
    source = chance if seed is None else Random(_integer(seed, "the seed"))
    return source.randrange(start, end)


def _string_split(text: Any, delimiters: Any) -> list[str]:
    """Every character of the delimiter splits; empty pieces are dropped."""
    whole, splitters = _string(text, "the first argument"), _string(delimiters, "the delimiter")
    if not splitters:
        return [whole]
    return [piece for piece in re.split("[" + re.escape(splitters) + "]", whole) if piece]


def _uuid(chance: Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _format(template: Any, *values: Any) -> str:
    pieces = re.split(r"(\\[{}\\']|\{\})", _string(template, "the template"))
    if pieces.count("{}") != len(values):
        raise _refuse(f"the template has {pieces.count('{}')} places for {len(values)} values")
    rest = iter(values)
    return "".join(
        _textual(next(rest)) if piece == "{}" else piece[1] if re.fullmatch(r"\\[{}\\']", piece) else piece
        for piece in pieces
    )


def _textual(value: Any) -> str:
    """Objects and arrays come out of the service as Java prints its maps and lists."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_textual(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_textual, value)) + "]"
    return value if isinstance(value, str) else to_text(value)


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int | None]] = {
    "States.Array": (_array, 0, None),
    "States.ArrayPartition": (_array_partition, 2, 2),
    "States.ArrayContains": (_array_contains, 2, 2),
    "States.ArrayRange": (_array_range, 3, 3),
    "States.ArrayGetItem": (_array_get_item, 2, 2),
    "States.ArrayLength": (_array_length, 1, 1),
    "States.ArrayUnique": (_array_unique, 1, 1),
    "States.Base64Encode": (_base64_encode, 1, 1),
    "States.Base64Decode": (_base64_decode, 1, 1),
    "States.Hash": (_hash, 2, 2),
    "States.JsonMerge": (_json_merge, 3, 3),
    "States.StringToJson": (_string_to_json, 1, 1),
    "States.JsonToString": (to_text, 1, 1),
    "States.MathRandom": (_math_random, 2, 3),
    "States.MathAdd": (_math_add, 2, 2),
    "States.StringSplit": (_string_split, 2, 2),
    "States.UUID": (_uuid, 0, 0),
    "States.Format": (_format, 1, None),
}
"""Name → function, fewest and most arguments (None: any number)."""

NEEDS_CHANCE = frozenset({"States.MathRandom", "States.UUID"})
"""Functions whose first parameter is the source of randomness."""
