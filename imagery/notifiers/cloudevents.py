"""Our events as CloudEvents 1.0, structured JSON (github.com/cloudevents/spec)."""

from __future__ import annotations

import json
from typing import Any

from imagery.model.codec import format_instant
from imagery.model.event import Event

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
MAX_BODY_BYTES = 64 * 1024


def to_cloudevent(event: Event, *, base_url: str) -> dict[str, Any]:
    """The envelope; `source` and `id` together name the event for ever, wherever the service is reached."""
    data = dict(event.data)
    path = data.pop("item_path", None)
    if path is not None:
        data["item_url"] = base_url + str(path)
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/v1/subscriptions/{event.subscription_id}",
        "type": str(event.type),
        "subject": event.subject,
        "time": format_instant(event.at),
        "datacontenttype": "application/json",
        "data": {"subscription_id": event.subscription_id, **data},
    }


def to_body(event: Event, *, base_url: str) -> bytes:
    """What is sent: of one size at most; data that would make it larger is left for `GET /v1/events/{id}`."""
    document = to_cloudevent(event, base_url=base_url)
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    if len(body) <= MAX_BODY_BYTES:
        return body
    document["data"] = {"subscription_id": event.subscription_id, "truncated": True}
    return json.dumps(document, separators=(",", ":")).encode()
