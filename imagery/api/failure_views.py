"""What callers are given of failures, replays and deletions, and what they send to replay many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imagery.api.inputs import Instant
from imagery.api.views import RequestView
from imagery.model.deletion import Deletion
from imagery.model.failure import Failure, FailureQuery
from imagery.model.subscription import SubscriptionStatus
from imagery.service.failures import Replay, Replays

_Name = Annotated[str, Field(min_length=1, max_length=256)]

MOST_REPLAYED = 1000
"""By one call."""


class FailureView(BaseModel):
    """A request that failed for good."""

    id: str
    owner: str | None
    request: RequestView = Field(description="As it was tried last.")
    error: str = Field(description="Class name of the error.")
    cause: str
    state: str | None = Field(description="The state of the workflow that failed.")
    retryable: bool = Field(description="Whether waiting can help.")
    failed_at: datetime
    replay_id: str | None = Field(description="Id of the request that tries it again, while that is under way.")

    @classmethod
    def of(cls, failure: Failure) -> FailureView:
        """As its owner sees it."""
        names = ("id", "owner", "error", "cause", "state", "retryable", "failed_at", "replay_id")
        return cls(**{name: getattr(failure, name) for name in names}, request=RequestView.of(failure.request))


class FailurePage(BaseModel):
    """Failures, newest first."""

    failures: list[FailureView]
    counts: dict[str, int] = Field(description="By error, of all that match, not of this page.")
    next: str | None

    @classmethod
    def of(cls, failures: tuple[Failure, ...], *, counts: Mapping[str, int], next_cursor: str | None) -> FailurePage:
        """One page of them."""
        return cls(failures=[FailureView.of(one) for one in failures], counts=dict(counts), next=next_cursor)


class ReplayView(BaseModel):
    """A failure tried again."""

    failure_id: str
    request_id: str = Field(description="Of the new attempt; it is the name of its execution too.")
    is_repeat: bool = Field(description="Whether this attempt was under way already.")

    @classmethod
    def of(cls, replay: Replay) -> ReplayView:
        """As its owner sees it."""
        return cls(failure_id=replay.failure_id, request_id=replay.request_id, is_repeat=replay.is_repeat)


class ReplayList(BaseModel):
    """What a replay of many came to."""

    replays: list[ReplayView]
    dry_run: bool = Field(description="Whether nothing was done, only said.")
    left: int = Field(description="Failures asked for that were not replayed: beyond the limit, or the rate.")
    retry_after_s: float = Field(description="When the rate was the reason: seconds until the rest can be sent.")

    @classmethod
    def of(cls, replays: Replays, *, dry_run: bool) -> ReplayList:
        """As its caller sees it."""
        views = [ReplayView.of(one) for one in replays.replays]
        return cls(replays=views, dry_run=dry_run, left=replays.left, retry_after_s=round(replays.retry_after_s, 3))


class ReplayBody(BaseModel):
    """Which failures to replay: these, or those that match. Those whose replay is under way are passed over."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"retryable": True, "dry_run": True}]})

    all: bool = Field(default=False, description="Needed when nothing narrows it down: every failure of the caller's.")
    ids: Annotated[list[_Name], Field(min_length=1, max_length=MOST_REPLAYED)] | None = Field(
        default=None, description="Just these; all other fields but dry_run are left unused."
    )
    error: _Name | None = Field(default=None, description="Class name of the error.")
    provider: _Name | None = None
    subscription_id: _Name | None = None
    retryable: bool | None = Field(default=None, description="true: those that waiting can help; false: the others.")
    failed_from: Instant | None = None
    failed_to: Instant | None = None
    text: _Name | None = Field(default=None, description="Part of the cause.")
    limit: Annotated[int, Field(ge=1, le=MOST_REPLAYED, description="Most replayed by this call.")] = 100
    dry_run: bool = Field(default=False, description="Say what would be done, and do nothing.")

    def to_query(self) -> FailureQuery:
        """Without `ids`."""
        return FailureQuery(**self.model_dump(exclude={"all", "ids", "dry_run"}))

    @model_validator(mode="after")
    def _refuse_nothing(self) -> ReplayBody:
        """An empty body is more likely a mistake than a wish for everything."""
        narrowing = self.model_fields_set - {"all", "limit", "dry_run"}
        if not self.all and all(getattr(self, name) is None for name in narrowing):
            raise ValueError('name failures by ids or a filter, or say {"all": true}')
        return self


class DeletionView(BaseModel):
    """What went when a subscription was removed."""

    subscription_id: str
    owner: str
    provider: str
    collection: str
    was: SubscriptionStatus = Field(description="Why it went: ended, or marked_for_deletion.")
    began_at: datetime
    finished_at: datetime | None = Field(description="null: under way; the next check goes on with it.")
    acquisitions: int = Field(description="Rows of its ledger.")
    items: int
    bytes: int
    objects: int = Field(description="At least so many.")
    failures: int

    @classmethod
    def of(cls, deletion: Deletion) -> DeletionView:
        """As operators see it."""
        return cls(**asdict(deletion))


class DeletionPage(BaseModel):
    """Deletions; those that began last first."""

    deletions: list[DeletionView]
    next: str | None
