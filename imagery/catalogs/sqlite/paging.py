"""The order of a search's answer and where in it a page ends: a key, not an offset, so that no insert moves it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from imagery.catalogs.sqlite.bindings import Bindings
from imagery.catalogs.sqlite.schema import expression
from imagery.errors import CursorInvalid, FilterInvalid

MAX_SORT_FIELDS = 8
_NEVER_NULL = frozenset({"dt", "t0", "t1", "pk", "id", "collection"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One thing to sort by."""

    sql: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Order:
    """A total order: what was asked for, then time, then the row's key. NULLs are least, as SQLite has them."""

    terms: tuple[Term, ...]

    @classmethod
    def of(cls, sortby: Sequence[tuple[str, bool]]) -> Order:
        """`sortby`: (field, descending); none: newest first. Raises FilterInvalid."""
        if len(sortby) > MAX_SORT_FIELDS:
            raise FilterInvalid(f"sortby: at most {MAX_SORT_FIELDS} fields", field="/sortby")
        asked: dict[str, bool] = {}
        for name, descending in sortby:
            sql = expression(name)
            if sql == "wkb":
                raise FilterInvalid("sortby: a geometry has no order", field="/sortby")
            asked.setdefault(sql, descending)
        last = list(asked.values())[-1] if asked else True
        for sql in ("dt", "pk"):  # in the order of the indexes on properties
            asked.setdefault(sql, last)
        return cls(tuple(Term(sql=sql, descending=descending) for sql, descending in asked.items()))

    @property
    def by_time(self) -> bool:
        """Whether an index on time yields it."""
        return [term.sql for term in self.terms] == ["dt", "pk"] and self.terms[0].descending == self.descending

    @property
    def descending(self) -> bool:
        """Whether the last terms go down."""
        return self.terms[-1].descending

    @property
    def keys(self) -> str:
        """Columns to select: a row's key in this order."""
        return ", ".join(term.sql for term in self.terms)

    @property
    def clause(self) -> str:
        """After ORDER BY."""
        return ", ".join(f"{term.sql} {'DESC' if term.descending else 'ASC'}" for term in self.terms)

    def token(self, key: Sequence[object]) -> str:
        """Opaque to others; names the last row of a page."""
        text = json.dumps([self._mark, *key])
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    def key(self, token: str) -> list[object]:
        """What `token` was given. Raises CursorInvalid."""
        try:
            padded = token.encode("ascii") + b"=" * (-len(token) % 4)
            mark, *key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, TypeError, RecursionError, binascii.Error) as error:
            raise CursorInvalid("token: not one of ours; start again without it", field="/token") from error
        sound = all(v is None or isinstance(v, int | float | str) for v in key) and len(key) == len(self.terms)
        if mark != self._mark or not sound:
            raise CursorInvalid("token: it belongs to another search; start again without it", field="/token")
        return list(key)

    def after(self, key: Sequence[object], bindings: Bindings) -> str:
        """SQL that is true of the rows behind `key`."""
        marks = [bindings.bind(value) for value in key]
        if len({term.descending for term in self.terms}) == 1 and self._without_null(key):
            columns = self.keys
            return f"({columns}) {'<' if self.descending else '>'} ({', '.join(marks)})"
        ways, same = [], ""
        for term, value, mark in zip(self.terms, key, marks, strict=True):
            ways.append(f"({same}{_behind(term, value, mark)})")
            same += f"{term.sql} IS {mark} AND "
        return f"({' OR '.join(ways)})"

    def _without_null(self, key: Sequence[object]) -> bool:
        # Going down, NULLs come last: a row value comparison would drop them.
        known = all(term.sql in _NEVER_NULL for term in self.terms)
        return None not in key and (known or not self.descending)

    @property
    def _mark(self) -> str:
        return hashlib.sha256(self.clause.encode()).hexdigest()[:8]


def _behind(term: Term, value: object, mark: str) -> str:
    if term.descending:
        return "0" if value is None else f"({term.sql} < {mark} OR {term.sql} IS NULL)"
    return f"{term.sql} IS NOT NULL" if value is None else f"{term.sql} > {mark}"
