"""What the log looks like: one line a record on stderr, with its ids, without its secrets."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from imagery.cli.redaction import redact
from imagery.errors import SettingsInvalid
from imagery.log_context import ContextFilter

_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_CHATTY = {
    "py.warnings": logging.ERROR,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "rasterio": logging.ERROR,
    "stac_fastapi": logging.ERROR,
    # Where boto3 is installed, rasterio looks for AWS credentials with every file it opens, and says so.
    "botocore": logging.WARNING,
    "boto3": logging.WARNING,
    "urllib3": logging.WARNING,
}
"""Others' loggers, and from which level on they have something to say to whoever runs this service."""


class LineFormatter(logging.Formatter):
    """`2026-05-01T12:00:00.000Z INFO  imagery.service.dispatch started request_id=req_…`"""

    def __init__(self, known: Sequence[str] = ()) -> None:
        """`known`: secrets to take out that cannot be told by their form."""
        super().__init__()
        self._known = known

    def format(self, record: logging.LogRecord) -> str:
        ids = "".join(f" {name}={_quoted(value)}" for name, value in _extra(record).items())
        message = record.getMessage().replace("\n", "\\n")
        line = f"{_instant(record)} {record.levelname:<7} {record.name} {message}{ids}"
        return redact("\n".join(filter(None, (line, _traceback(self, record)))), self._known)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; numbers stay numbers."""

    def __init__(self, known: Sequence[str] = ()) -> None:
        """`known`: secrets to take out that cannot be told by their form."""
        super().__init__()
        self._known = known

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "at": _instant(record),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage(), self._known),
            **{name: self._shown(value) for name, value in _extra(record).items()},
        }
        if traceback := _traceback(self, record):
            entry["traceback"] = redact(traceback, self._known)
        return json.dumps(entry, ensure_ascii=False)

    def _shown(self, value: object) -> object:
        return value if isinstance(value, bool | int | float) else redact(str(value), self._known)


class StderrHandler(logging.Handler):
    """Writes to whatever stderr is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            # As the standard library's handlers do: a record that cannot be written must not stop the work.
            self.handleError(record)


def set_up_logging(level: str, *, as_json: bool = False, known: Sequence[str] = ()) -> None:
    """Send every logger's records to stderr, with the ids of what they are about and without secrets.

    `known` are secrets that cannot be told by their form. Raises SettingsInvalid for a level there is not.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise SettingsInvalid(
            f"there is no log level {level!r}; take DEBUG, INFO, WARNING or ERROR", field="IMAGERY_LOG_LEVEL"
        )
    handler = StderrHandler()
    handler.setFormatter(JsonFormatter(known) if as_json else LineFormatter(known))
    handler.addFilter(ContextFilter())
    root = logging.getLogger()
    root.handlers[:] = [*(each for each in root.handlers if not isinstance(each, StderrHandler)), handler]
    root.setLevel(number)
    for name, least in _CHATTY.items():
        logging.getLogger(name).setLevel(max(number, least))


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and not any(c.isspace() or c in '"=' for c in text) else json.dumps(text, ensure_ascii=False)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""
