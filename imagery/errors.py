"""Every error of the house, in one tree. A class name is the ErrorEquals string in the workflow.

ImageryError
├── InvalidInput                 the caller can mend it; `field` says where
│   ├── AddressRefused           of a webhook
│   ├── AoiInvalid
│   ├── CursorInvalid
│   ├── DefinitionInvalid
│   ├── FilterInvalid
│   ├── FormulaInvalid
│   ├── ItemInvalid
│   ├── NotificationInvalid
│   ├── SettingsInvalid
│   └── SubscriptionInvalid
├── Unknown                      no such thing, or not the caller's
│   ├── CollectionUnknown
│   ├── EventUnknown
│   ├── ExecutionUnknown
│   ├── FailureUnknown
│   ├── ItemUnknown
│   ├── KeyUnknown
│   ├── OrderUnknown
│   ├── ProviderUnknown
│   ├── SubscriptionUnknown
│   └── TaskTokenUnknown
├── Conflict                     the thing is not as the caller thought
│   ├── IdempotencyConflict
│   ├── ItemExists
│   ├── LimitReached             an owner's; `limit` names it
│   ├── StatusConflict
│   └── VersionConflict
├── Forbidden
│   └── NotificationForged       it claims a sender it cannot prove
├── Throttled                    ours, towards a caller
├── ProviderError
│   ├── ProviderUnavailable      timeout, broken connection, 5xx          (retryable)
│   ├── ProviderThrottled        429; retry_after_s when it said so       (retryable)
│   ├── ProviderRefused          asking again is pointless
│   │   ├── CredentialsRefused   401, 403: nothing will go until they are mended
│   │   ├── QuotaExhausted       the provider's own quota is used up
│   │   ├── OrderFailed          the provider could not make it
│   │   └── OrderCanceled        somebody canceled it there
│   ├── BudgetReached            ours for the day, in hectares or money    (retryable)
│   ├── FeedUnsupported          it has no feed of changes; search by subscription instead
│   └── ProviderAnswerInvalid    it answered, but not what was asked
├── RasterError
│   ├── RasterUnavailable        could not be read now                    (retryable)
│   ├── RasterUnreadable         not a raster we can read, or damaged
│   │   └── RangesUnsupported    its server gives whole files only
│   ├── AssetMissing             the item has no such asset, or the file is gone
│   ├── ChecksumMismatch         a file read whole is not what its item says
│   ├── ClipTooLarge
│   └── RadiometryContradictory  what the item says of its numbers, the numbers deny
├── StoreUnavailable             the database or its lock                 (retryable)
├── ObjectStoreUnavailable                                                (retryable)
├── ObjectUnknown
├── CatalogUnavailable                                                    (retryable)
└── AlreadyRunning               another process holds this data directory
"""

from __future__ import annotations


class ImageryError(Exception):
    """Root of the tree. `str(error)` is written for a person and says what to do next."""

    retryable = False
    """Whether waiting can help."""


class InvalidInput(ImageryError):
    """What the caller sent cannot be used; `field` is a JSON pointer to the part that is wrong."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class AddressRefused(InvalidInput):
    """A webhook's URL is not one this service may send to: its form, its port, or where its name leads."""


class AoiInvalid(InvalidInput):
    """The area of interest is not a usable Polygon or MultiPolygon."""


class CursorInvalid(InvalidInput):
    """A paging cursor that this service did not give out, or gave out for another query."""


class DefinitionInvalid(InvalidInput):
    """A state machine that is not valid Amazon States Language; `field` points at the state."""


class FilterInvalid(InvalidInput):
    """A search or a CQL2 filter that cannot be answered."""


class FormulaInvalid(InvalidInput):
    """An index whose formula cannot be read, or names a band that is not there."""


class ItemInvalid(InvalidInput):
    """Not a STAC item or collection the catalog can hold."""


class NotificationInvalid(InvalidInput):
    """What was pushed is no message of the provider, or holds no STAC item."""


class SettingsInvalid(InvalidInput):
    """The service cannot start with these settings; `field` is the variable's name."""


class SubscriptionInvalid(InvalidInput):
    """A subscription's fields contradict each other or name something that is not there."""


class Unknown(ImageryError):
    """No such thing, or not one the caller may see."""


class CollectionUnknown(Unknown):
    """No collection of this id."""


class EventUnknown(Unknown):
    """No event of this id, or one whose time of keeping is over."""


class ExecutionUnknown(Unknown):
    """No execution of this id."""


class FailureUnknown(Unknown):
    """No failure of this id."""


class ItemUnknown(Unknown):
    """No item of this id, in our catalog or at the provider."""


class KeyUnknown(Unknown):
    """No API key of this id, or one that was revoked."""


class OrderUnknown(Unknown):
    """No order of this name."""


class ProviderUnknown(Unknown):
    """No provider of this name is set up."""


class SubscriptionUnknown(Unknown):
    """No subscription of this id."""


class TaskTokenUnknown(Unknown):
    """A task token that never existed, was used, or whose task has timed out."""


class Conflict(ImageryError):
    """The thing is not in the state the caller thought."""


class IdempotencyConflict(Conflict):
    """The idempotency key was used before with another body."""


class ItemExists(Conflict):
    """An item or collection of this id is there already."""


class LimitReached(Conflict):
    """An owner has as many as they may have; `limit` is the name of the limit that says so."""

    def __init__(self, message: str, *, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class StatusConflict(Conflict):
    """The subscription's status does not allow this."""


class VersionConflict(Conflict):
    """The subscription was changed since it was read."""


class Forbidden(ImageryError):
    """The key is valid, but not for this."""


class NotificationForged(Forbidden):
    """A message whose signature does not prove who sent it, or one from a topic nobody here listens to."""


class Throttled(ImageryError):
    """Too many requests with one key."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderError(ImageryError):
    """Something between us and a provider."""


class ProviderUnavailable(ProviderError):
    """Timeout, broken connection or 5xx. Waiting can help."""

    retryable = True


class ProviderThrottled(ProviderError):
    """429: we ask too often. Waiting helps."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderRefused(ProviderError):
    """4xx, or an answer that will be the same next time."""


class CredentialsRefused(ProviderRefused):
    """401 or 403: the provider does not know the key, or the key may not do this. An operator has to mend it."""


class QuotaExhausted(ProviderRefused):
    """429 that waiting does not cure: what the contract allows is used up."""


class OrderFailed(ProviderRefused):
    """The provider took the order and could not make it; its own words are in the message."""


class OrderCanceled(ProviderRefused):
    """The order was canceled at the provider."""


class BudgetReached(ProviderError):
    """Our own limit for the day, in hectares or money: the order is placed when there is room again."""

    retryable = True


class FeedUnsupported(ProviderError):
    """The provider cannot list what changed since a moment; its subscriptions are searched one by one."""


class ProviderAnswerInvalid(ProviderError):
    """It answered with something that is not what its own specification says."""


class RasterError(ImageryError):
    """Something about a raster file."""


class RasterUnavailable(RasterError):
    """The file could not be read just now: network, 5xx, a cut body. Waiting can help."""

    retryable = True


class RasterUnreadable(RasterError):
    """The file is there but is no raster, or a damaged one."""


class RangesUnsupported(RasterUnreadable):
    """The file's server answers no range requests: it can be had whole or not at all."""


class AssetMissing(RasterError):
    """The item has no such asset, or its file is gone (404) or forbidden (403)."""


class ChecksumMismatch(RasterError):
    """A file that was read whole, twice, is not the one whose checksum its item gives."""


class ClipTooLarge(RasterError):
    """The window over the AOI holds more pixels than the limit."""


class RadiometryContradictory(RasterError):
    """What the item says of scale and offset and what its pixels show exclude each other, and neither is certain."""


class StoreUnavailable(ImageryError):
    """The database did not answer in time."""

    retryable = True


class ObjectStoreUnavailable(ImageryError):
    """The object store did not take or give an object."""

    retryable = True


class ObjectUnknown(ImageryError):
    """No object under this key."""


class CatalogUnavailable(ImageryError):
    """The STAC catalog did not take or give an item."""

    retryable = True


class AlreadyRunning(ImageryError):
    """Another process is working on this data directory."""
