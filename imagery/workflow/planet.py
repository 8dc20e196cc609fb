"""The two steps of a provider that delivers later: order and pause; fetch what was made, and cut it."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pystac

from imagery.errors import (
    AoiInvalid,
    ChecksumMismatch,
    ImageryError,
    ItemUnknown,
    ObjectStoreUnavailable,
    OrderFailed,
    ProviderUnknown,
    TaskTokenUnknown,
)
from imagery.model.codec import from_dict
from imagery.model.order import Order, OrderWish
from imagery.model.outcome import SkipReason
from imagery.model.request import Request
from imagery.model.subscription import Subscription
from imagery.providers.planet.aoi import clip_aoi
from imagery.providers.planet.download import Downloader
from imagery.providers.planet.search import PlanetSearch
from imagery.service.orders import Need, Orders
from imagery.workflow.ordered import Files, OrderedItems, as_ordered, bought_share
from imagery.workflow.share import Entry, Share, state_of
from imagery.workflow.worth import Wanted, area_of, hectares_under, weigh

logger = logging.getLogger(__name__)

STALE_S = 3 * 86_400.0
"""After so long what a killed step had fetched is thrown away: by then its execution has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderedSource:
    """A provider that is ordered from."""

    search: PlanetSearch
    orders: Orders
    downloader: Downloader
    folder: Path
    """Where results wait until they are cut: a folder a request, so that a step that is tried again goes on."""

    harmonise_to: str | None = None
    """Sensor whose colours surface reflectance is fitted to. None: as it comes."""

    reorder_finalized: bool = False
    """Whether what was bought in one `publishing_stage` is bought again in another."""

    @property
    def items(self) -> OrderedItems:
        """Beside the results."""
        return OrderedItems(folder=self.folder.with_name("ordered-items"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What these steps share with those of the other providers."""

    takers: Callable[[Request], Sequence[Subscription]]
    """Subscriptions of a request that are still there."""

    look: Callable[[Request], object]
    """Find what a request's window holds, and ask for each item of it."""

    share: Callable[[pystac.Item, Subscription, Request], Share]
    cut: Callable[[Sequence[Share]], Sequence[Entry]]
    send: Callable[[Request], None]
    """Have a request carried out besides."""


def request_order(payload: Mapping[str, Any], *, source: OrderedSource | None, bench: Bench) -> dict[str, Any]:
    """Have what a request needs ordered; its token is resumed when that is there, at once when nothing is needed."""
    request, task_token = from_dict(Request, payload["request"]), payload["task_token"]
    source = _known(source, request)
    if request.window is not None:
        bench.look(request)
        wanted: Sequence[Wanted] = []
    else:
        wanted = _of_one_kind(_wanted(request, source, bench), request, source, bench)
    if wanted:
        # First: from when it is placed on, the step that delivers it may run.
        source.items.keep(request.root, {one.share.item.id: one.share.item for one in wanted}.values())
        source.orders.place(_need(wanted, request, source, payload["execution_id"], task_token))
    else:
        with suppress(TaskTokenUnknown):  # another try of this step was faster
            source.orders.tokens.resume(task_token, {"order_id": None, "name": None})
    return {}


def deliver_order(payload: Mapping[str, Any], *, source: OrderedSource | None, bench: Bench) -> dict[str, Any]:
    """Fetch an order's results, and cut each subscriber's part; one entry a share, whether or not it was ordered."""
    request = from_dict(Request, payload["request"])
    source = _known(source, request)
    takers = [] if request.window is not None else bench.takers(request)
    if not takers:
        return {"entries": []}
    order = _order_of(payload["order"], source)
    bought = source.orders.get(order.shares) if order is not None and order.shares is not None else None
    endings: list[tuple[Share, Entry | ImageryError]] = []
    kept = source.items.of(request.root) if order is not None else {}
    with _folder(source.folder / request.id) as folder:
        files = _fetched(order, request.item_ids, folder, source)
        for item_id in request.item_ids:
            known = kept.get(item_id) or source.search.get(request.collection, item_id)
            item = as_ordered(known, order, bought=bought)
            shares = [bench.share(item, one, request) for one in takers]
            endings += _endings(shares, order, files, source, bench)
        _judge(order, files, endings, source)
        errors = [ending for _, ending in endings if isinstance(ending, ImageryError)]
        if errors and len(errors) == len(endings):
            raise next((error for error in errors if error.retryable), errors[0])
    return {"entries": [_entry(share, ending).to_payload() for share, ending in endings]}


def _known(source: OrderedSource | None, request: Request) -> OrderedSource:
    if source is None:
        raise ProviderUnknown(
            f"nothing can be ordered from {request.provider}: set IMAGERY_PLANET_API_KEY, restart, replay the failure"
        )
    return source


def _wanted(request: Request, source: OrderedSource, bench: Bench) -> list[Wanted]:
    """What has to be ordered. One subscriber's error is theirs alone; when nobody is left, it is the request's."""
    wanted: list[Wanted] = []
    errors: list[ImageryError] = []
    takers = bench.takers(request)
    for item_id in request.item_ids if takers else ():
        item = _item(request, item_id, source)
        for taker in takers:
            try:
                weighed = weigh(bench.share(item, taker, request), clear_fraction=source.search.clear_fraction)
            except ImageryError as error:
                if error.retryable:
                    raise  # ordering without it now would mean ordering twice
                errors.append(error)
            else:
                wanted += [weighed] if isinstance(weighed, Wanted) else []
    if errors and len(errors) == len(takers) * len(request.item_ids):
        raise errors[0]
    return wanted


def _of_one_kind(wanted: Sequence[Wanted], request: Request, source: OrderedSource, bench: Bench) -> Sequence[Wanted]:
    """What one order can hold. Nobody's pixels depend on who else is in it: the others are a request of their own."""
    others = {one.share.subscription.id for one in wanted if one.is_as_it_comes}
    rest = [one for one in wanted if one.share.subscription.id not in others]
    if source.harmonise_to is None or not others or not rest:
        return wanted
    bench.send(request.parted(subscription_ids=others))
    return rest


def _item(request: Request, item_id: str, source: OrderedSource) -> pystac.Item:
    """As it is now; one that is no more, as it was when an earlier try ordered it. Raises ItemUnknown."""
    try:
        return source.search.get(request.collection, item_id)
    except ItemUnknown:
        kept = source.items.of(request.root).get(item_id)
        if kept is None:
            raise
        return kept


def _need(
    wanted: Sequence[Wanted], request: Request, source: OrderedSource, execution_id: str, task_token: str
) -> Need:
    area, remark = clip_aoi([one.geometry for one in wanted])
    if remark is not None:
        logger.info("%s", remark, extra={"request_id": request.id})
    items = {one.share.item.id: one.share.item for one in wanted}
    assets = tuple(sorted({key for one in wanted for key in one.assets}))
    is_reflectance = not any(one.is_as_it_comes for one in wanted) and any(key.endswith("_sr") for key in assets)
    wish = OrderWish(
        collection=request.collection,
        item_ids=tuple(items),
        item_states=tuple(_bought_in(item, source) for item in items.values()),
        item_updates=tuple(state_of(item) for item in items.values()),
        item_stages=tuple(str(item.properties.get("pl:publishing_stage", "")) for item in items.values()),
        assets=assets,
        aoi=area,
        harmonise_to=source.harmonise_to if is_reflectance else None,
    )
    return Need(
        purpose=request.root,
        wish=wish,
        subscription_ids=tuple(sorted({one.share.subscription.id for one in wanted})),
        hectares=sum(hectares_under(area, item) for item in items.values()),
        execution_id=execution_id,
        task_token=task_token,
    )


def _bought_in(item: pystac.Item, source: OrderedSource) -> str:
    """The state that makes it another thing to buy. No other change of its metadata does."""
    return str(item.properties.get("pl:publishing_stage") or "") if source.reorder_finalized else ""


def _order_of(resumed: Mapping[str, Any], source: OrderedSource) -> Order | None:
    """None when nothing was ordered. Who resumed us may not have saved the provider's id yet."""
    order = source.orders.get(resumed["name"]) if resumed["name"] is not None else None
    return replace(order, order_id=resumed["order_id"]) if order is not None else None


def _fetched(order: Order | None, item_ids: Sequence[str], folder: Path, source: OrderedSource) -> Files:
    """What the order made of these items; it may have been placed for more."""
    if order is None or order.order_id is None:
        return {}
    reading = source.orders.reading_of(order.order_id)
    try:
        return source.downloader.fetch(reading, folder, item_ids=item_ids, assets=order.wish.assets)
    except ChecksumMismatch as error:
        source.orders.spoiled(order.name, str(error), item_ids=item_ids)
        raise


def _judge(
    order: Order | None, files: Files, endings: Sequence[tuple[Share, Entry | ImageryError]], source: OrderedSource
) -> None:
    """Have a replay order anew what came without files that somebody needs; what is whole by now serves again."""
    if order is None:
        return
    whole = {item for item in order.wish.item_ids if all((item, key) in files for key in order.wish.assets)}
    failed = {share.item.id for share, ending in endings if isinstance(ending, OrderFailed)}
    if failed - whole:
        source.orders.spoiled(order.name, "it came without all that was ordered", item_ids=tuple(failed - whole))
    if whole & set(order.spoiled):
        source.orders.sound(order.name, item_ids=tuple(whole))


def _endings(
    shares: Sequence[Share], order: Order | None, files: Files, source: OrderedSource, bench: Bench
) -> list[tuple[Share, Entry | ImageryError]]:
    """Of one item's shares, in their order."""
    ordered = frozenset(order.subscription_ids) if order is not None else frozenset[str]()
    endings: dict[str, Entry | ImageryError] = {}
    sound: list[Share] = []
    for share in shares:
        if order is None or share.subscription.id not in ordered:
            ending = _not_ordered(share, order, source)
            if ending is not None:
                endings[share.subscription.id] = ending
            continue
        try:
            sound.append(bought_share(share, order, files))
        except ImageryError as error:
            endings[share.subscription.id] = error
    endings |= _cut(sound, bench)
    return [(share, endings[share.subscription.id]) for share in shares if share.subscription.id in endings]


def _cut(shares: Sequence[Share], bench: Bench) -> dict[str, Entry | ImageryError]:
    if not shares:
        return {}
    remark = _remark(shares)
    try:
        return {entry.outcome.subscription_id: _remarked(entry, remark) for entry in bench.cut(shares)}
    except ImageryError as error:
        return {share.subscription.id: error for share in shares}


def _entry(share: Share, ending: Entry | ImageryError) -> Entry:
    return share.failed(ending) if isinstance(ending, ImageryError) else ending


def _not_ordered(share: Share, order: Order | None, source: OrderedSource) -> Entry | ImageryError | None:
    """Why it was not; None when it has an order of its own, whose request tells how it ended."""
    try:
        weighed = weigh(share, clear_fraction=source.search.clear_fraction)
    except ImageryError as error:
        return error
    if isinstance(weighed, Entry):
        return weighed
    if weighed.is_as_it_comes and order is not None and order.wish.harmonise_to is not None:
        return None
    return share.skipped(SkipReason.INACTIVE, "the subscription did not take it when the acquisition was ordered")


def _remark(shares: Sequence[Share]) -> str | None:
    """That more was ordered than was asked for; None when it was not."""
    try:
        return clip_aoi([area_of(share) for share in shares])[1]
    except AoiInvalid:
        return None  # its owner has changed the buffer since; cutting says so


def _remarked(entry: Entry, remark: str | None) -> Entry:
    if remark is None:
        return entry
    outcome = entry.outcome
    return replace(entry, outcome=replace(outcome, explanation="; ".join(filter(None, (outcome.explanation, remark)))))


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """A folder for downloads, removed unless trying again can go on with it; forgotten ones of others go first."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ObjectStoreUnavailable(f"{path} cannot be made ({error}); make room there") from error
    for other in path.parent.iterdir():
        with suppress(OSError):
            if other != path and time.time() - other.stat().st_mtime > STALE_S:
                shutil.rmtree(other, ignore_errors=True)
    try:
        yield path
    except ImageryError as error:
        if not error.retryable:
            shutil.rmtree(path, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
