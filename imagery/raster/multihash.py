"""`file:checksum` as the file extension writes it: a multihash, which names its algorithm. Arithmetic only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

_ALGORITHMS = {
    "1114": ("sha1", 20),
    "1220": ("sha256", 32),
    "1340": ("sha512", 64),
    "1440": ("sha3_512", 64),
    "1530": ("sha3_384", 48),
    "1620": ("sha3_256", 32),
    "171c": ("sha3_224", 28),
    "2030": ("sha384", 48),
    "d50110": ("md5", 16),
}
"""Code and length as the multicodec table has them, both varints in hex → hashlib's name, and bytes of the digest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Multihash:
    """What the bytes of a file must come to."""

    algorithm: str
    """As hashlib names it."""

    digest: str
    """Lower-case hex."""

    def matches(self, pieces: Iterable[bytes]) -> bool:
        """Whether these bytes, one piece after another, come to it."""
        found = hashlib.new(self.algorithm, usedforsecurity=False)
        for piece in pieces:
            found.update(piece)
        return found.hexdigest() == self.digest


def parse_multihash(text: object) -> Multihash | None:
    """None for what nobody here can verify: another algorithm, a shortened digest, or no multihash at all."""
    if not isinstance(text, str):
        return None
    written = text.strip().lower()
    for prefix, (algorithm, length) in _ALGORITHMS.items():
        digest = written.removeprefix(prefix)
        if digest != written and len(digest) == 2 * length and set(digest) <= set("0123456789abcdef"):
            return Multihash(algorithm=algorithm, digest=digest)
    return None
