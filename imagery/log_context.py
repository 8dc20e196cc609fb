"""Which request, execution and subscription the lines logged just now are about. Knows no handler and no format."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_NOTHING: Mapping[str, object] = MappingProxyType({})
_fields: ContextVar[Mapping[str, object]] = ContextVar("imagery_log_context", default=_NOTHING)


@contextmanager
def logged_with(**fields: object) -> Iterator[None]:
    """Every line logged inside, by this thread or task and by whatever library, carries these; None leaves one out."""
    token = _fields.set({**_fields.get(), **{name: value for name, value in fields.items() if value is not None}})
    try:
        yield
    finally:
        _fields.reset(token)


class ContextFilter(logging.Filter):
    """Puts them on each record that does not say otherwise itself; for a handler, so that no logger is left out."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _fields.get().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
