"""What the command line logs: a line a record, with its ids, and never a secret."""

from __future__ import annotations

import json
import logging

import pytest

from imagery.cli.logs import JsonFormatter, LineFormatter

SECRET = "imk_0123456789ab_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCde"


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        f"Authorization: Bearer {SECRET}",
        "https://me:geheimnis@host/path",
        "https://host/a.tif?X-Amz-Signature=geheimnis&x=1",
        "https://host/order?token=geheimnis",
        "authorization: api-key geheimnis-0123",
    ],
)
def test_no_secret_reaches_the_log(formatter: logging.Formatter, secret: str) -> None:
    try:
        raise ValueError(f"trouble with {secret}")
    except ValueError as error:
        record = logging.makeLogRecord(
            {"msg": "met %s", "args": (secret,), "name": "x", "levelname": "INFO", "url": secret}
            | {"exc_info": (type(error), error, error.__traceback__)}
        )

    line = formatter.format(record)

    assert "geheimnis" not in line
    assert SECRET.rpartition("_")[2][-20:] not in line
    assert "ValueError" in line


def test_a_log_line_shows_its_ids_and_stays_one_line() -> None:
    record = logging.makeLogRecord(
        {"msg": "done\nforged", "name": "x", "levelname": "INFO", "request_id": "req_1", "cause": "two words"}
    )

    assert LineFormatter().format(record).endswith('x done\\nforged request_id=req_1 cause="two words"')
    assert json.loads(JsonFormatter().format(record))["request_id"] == "req_1"
