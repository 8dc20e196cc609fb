"""Events as callers are given them: CloudEvents, with the log of their delivery."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from imagery.model.event import DeliveryLog, DeliveryStatus, Event, EventType
from imagery.notifiers.cloudevents import to_cloudevent


class DeliveryView(BaseModel):
    """How the telling of an event stands."""

    model_config = ConfigDict(from_attributes=True)

    status: DeliveryStatus
    tries: int = Field(description="Since it was last asked for.")
    asked_at: datetime
    next_at: datetime | None = Field(description="When it is tried next; null when it is not pending.")


class AttemptView(BaseModel):
    """One try to deliver an event."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    url: str = Field(description="Without its query.")
    took_s: float
    status_code: int | None = Field(description="null: there was no answer.")
    error: str | None = Field(description="Why it did not count; null when it did.")
    snippet: str = Field(description="How the answer's body began.")


class EventView(BaseModel):
    """A fact, as a CloudEvent 1.0: what a webhook is sent."""

    specversion: str
    id: str
    source: str
    type: EventType
    subject: str
    time: str = Field(json_schema_extra={"format": "date-time"})
    datacontenttype: str
    data: dict[str, Any]

    @classmethod
    def of(cls, event: Event, *, base_url: str) -> EventView:
        """A line of a list."""
        return cls(**to_cloudevent(event, base_url=base_url))


class EventPage(BaseModel):
    """Events, newest first."""

    events: list[EventView]
    next: str | None


class EventDetail(BaseModel):
    """An event, and how telling it has gone."""

    event: EventView
    delivery: DeliveryView | None = Field(description="null: there was nobody to tell.")
    attempts: list[AttemptView] = Field(description="Oldest first; of many the newest are kept.")

    @classmethod
    def with_log(cls, event: Event, log: DeliveryLog, *, base_url: str) -> EventDetail:
        """All there is to know about it."""
        return cls(
            event=EventView.of(event, base_url=base_url),
            delivery=DeliveryView.model_validate(log.delivery) if log.delivery else None,
            attempts=[AttemptView.model_validate(attempt) for attempt in log.attempts],
        )
