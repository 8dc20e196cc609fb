"""What an order holds for one share: the item as it was ordered, the files that came, the share as it is by now."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pystac
import shapely
from shapely.geometry import box, shape

from imagery.errors import ObjectStoreUnavailable, OrderFailed
from imagery.model.order import Order
from imagery.workflow.share import Share
from imagery.workflow.worth import area_of, assets_of

Files = Mapping[tuple[str, str], Path]
"""(item id, asset key) → file, of all that an order made."""

KEPT_S = 7 * 86_400.0
"""How long items are kept: longer than an execution waits, and than most failures do for their replay."""

_ROUNDING = 1e-7
"""Degrees (a centimetre): areas that were put together differ by no more."""

_WORLD = box(-180.0, -90.0, 180.0, 90.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderedItems:
    """Items as they were when they were ordered, on disk: a delivery is told of by these, whatever becomes of them.

    The provider may have dropped one since, changed it, or taken back the right to it; what was bought was bought.
    """

    folder: Path

    def keep(self, purpose: str, items: Iterable[pystac.Item]) -> None:
        """For the order of this purpose (`Request.root`), over restarts. Raises ObjectStoreUnavailable."""
        documents = [item.to_dict(transform_hrefs=False) for item in items]
        path = self._path(purpose)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _forget_old(path.parent)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
                json.dump(documents, file)
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError as error:
            raise ObjectStoreUnavailable(f"{path} cannot be written ({error}); make room there") from error

    def of(self, purpose: str) -> dict[str, pystac.Item]:
        """By id; empty when none are kept."""
        try:
            documents = json.loads(self._path(purpose).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        items = [pystac.Item.from_dict(document, preserve_dict=False) for document in documents]
        return {item.id: item for item in items}

    def _path(self, purpose: str) -> Path:
        return self.folder / purpose[-2:] / f"{purpose}.json"


def as_ordered(item: pystac.Item, order: Order | None, *, bought: Order | None = None) -> pystac.Item:
    """In the state that was ordered: a later one is a request of its own.

    `bought` is the order whose files serve `order`, when that is another: its pixels are of the stage of then.
    """
    if order is None or item.id not in order.wish.item_ids:
        return item
    updates = dict(zip(order.wish.item_ids, order.wish.item_updates, strict=False))
    ordered = item.clone()
    ordered.properties["pl:order_id"] = order.order_id
    paid = bought or order
    stage = dict(zip(paid.wish.item_ids, paid.wish.item_stages, strict=False)).get(item.id)
    if stage:
        ordered.properties["pl:publishing_stage"] = stage
    if updates.get(item.id) and order.shares is None:
        ordered.properties["updated"] = updates[item.id]
    if order.wish.harmonise_to is not None:
        ordered.properties["pl:harmonized_to"] = order.wish.harmonise_to
    return ordered


def bought_share(share: Share, order: Order, files: Files) -> Share:
    """The share of the item as it lies here, to be delivered though its subscription was paused or has ended since.

    Raises OrderFailed when the subscription wants more by now than was ordered for it, or when not all of what it
    wants was made; what others of the order lack is nothing to it.
    """
    item, needed = share.item, assets_of(share)
    _refuse_changed(share, order, needed)
    there = {key: path for (item_id, key), path in files.items() if item_id == item.id}
    missing = sorted(needed - there.keys())
    if missing:
        why = order.message or "no reason given"
        raise OrderFailed(f"order {order.order_id} came without {', '.join(missing)} of {item.id}: {why}")
    local = item.clone()
    local.assets = {key: asset for key, asset in local.assets.items() if key in there}
    for key, asset in local.assets.items():
        asset.href = str(there[key])
    return replace(share, item=local, is_bought=True)


def _refuse_changed(share: Share, order: Order, needed: frozenset[str]) -> None:
    """Raises OrderFailed: a clip of less than the area, or of other assets, is not what is asked for."""
    lacking = sorted(needed - set(order.wish.assets))
    if not lacking and not _is_within(share, order):
        lacking = ["a part of its area"]
    if lacking:
        raise OrderFailed(
            f"subscription {share.subscription.id} was changed after it was ordered: replay orders what is lacking "
            f"({', '.join(lacking)} in order {order.order_id})"
        )


def _is_within(share: Share, order: Order) -> bool:
    area = shape(area_of(share))
    area = area if area.is_valid else shapely.make_valid(area)
    return bool(shape(order.wish.aoi).buffer(_ROUNDING).covers(area.intersection(_WORLD)))


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT_S:
                path.unlink()
