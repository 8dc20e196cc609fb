"""A page of values and where the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """Some values in a stable order."""

    values: tuple[T, ...]
    next_cursor: str | None = None
    """Opaque; None on the last page."""

    def map(self, convert: Callable[[T], S]) -> Page[S]:
        """The same page of other values."""
        return Page(values=tuple(map(convert, self.values)), next_cursor=self.next_cursor)


def walk(find: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """Every value of every page; `find` is given the cursor of the page it is to give."""
    cursor: str | None = None
    while True:
        page = find(cursor)
        yield from page.values
        cursor = page.next_cursor
        if cursor is None:
            return
