"""Which of our items a delivery becomes: the one that is there already, or the next version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from imagery.items import product_name, published_collection_id, published_item_id
from imagery.model.codec import to_dict
from imagery.model.product import Product, ProductStatus
from imagery.model.subscription import Subscription
from imagery.ports import ProductStore, Together
from imagery.workflow.share import Entry, Share


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What a delivery is to be called. It is saved: whatever is written from now on will be found again."""

    product: Product
    """Its `item_id`, `version` and `prefix` are the delivery's."""

    predecessor: str | None
    """Item of ours that it takes the place of."""

    is_new: bool = False
    """Whether nobody had begun it before."""


def identify(
    share: Share,
    *,
    sources: Sequence[str],
    checksums: Mapping[str, str],
    numbers: Mapping[str, float],
    products: ProductStore,
    together: Together,
) -> Identity:
    """Call this when all files are encoded and none is stored.

    `sources` are source item ids, the one on top first; `checksums` asset key → SHA-256 of its bytes. The same bytes of
    the same sources are the same item, so that a step that runs twice, or beside another, writes the same thing to the
    same place; other bytes are the next version, so that nothing that is published ever changes under its reader.
    """
    digest = hashlib.sha256(json.dumps(sorted(checksums.items())).encode()).hexdigest()
    with together():
        made = products.of(share.subscription.id, share.acquisition)
        recipe = recipe_of(share.subscription)
        begun = _same(made, sources, digest, recipe)
        product = begun or _next(made, share, sources, digest)
        known = latest(product.known, share.known)
        product = replace(product, recipe=recipe, known=known, numbers=dict(numbers), updated_at=share.now)
        products.save(product)
    return Identity(product=product, predecessor=_predecessor(made, product), is_new=begun is None)


def give_up(identity: Identity, *, products: ProductStore, together: Together) -> bool:
    """Forget what could not be stored; gives whether its objects may be removed.

    Not when another had begun it before, or has taken it up since: its objects are those of this one.
    """
    mine = identity.product
    with together():
        if not identity.is_new or mine not in products.of(mine.subscription_id, mine.acquisition):
            return False
        products.remove(mine)
    return True


def confirm(share: Share, *, sources: Sequence[str], products: ProductStore, together: Together) -> Entry | None:
    """Call this when the choice is made and before bands are read.

    When what is published is of these very sources in these very states, it only has to be noted what it was weighed
    against; gives how the share ended. None: the product must be made, also when it is published as the subscription
    wanted it before it was changed.
    """
    if share.current is None or share.current.sources != tuple(sources):
        return None
    known, recipe = share.known, recipe_of(share.subscription)
    with together():
        current = current_of(products.of(share.subscription.id, share.acquisition))
        if current is None or current.sources != tuple(sources):
            return None
        if any(current.known.get(one) != known.get(one) for one in sources) or not current.is_made_as(recipe):
            return None
        current = replace(current, known=latest(current.known, known))
        products.save(current)
    return share.stood_down(current)


def recipe_of(subscription: Subscription) -> str:
    """SHA-256 over all of a subscription that shapes the pixels of what is made for it."""
    wishes = {"assets": list(subscription.assets), "processing": to_dict(subscription.processing)}
    return hashlib.sha256(json.dumps(wishes, sort_keys=True).encode()).hexdigest()


def current_of(made: Sequence[Product]) -> Product | None:
    """The one that stands, of all that were made of an acquisition."""
    return next((one for one in made if one.status is ProductStatus.CURRENT), None)


def latest(known: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """What is known with both: of each source item the later state."""
    return {one: max(known.get(one, ""), others.get(one, "")) for one in [*known, *others]}


def _same(made: Sequence[Product], sources: Sequence[str], digest: str, recipe: str) -> Product | None:
    """One that may be written again: it stands, or a step that died began it, or another is at it this moment.

    What has been superseded is about to be removed. To another recipe the same pixels are told of in other words.
    """
    usable = (ProductStatus.CURRENT, ProductStatus.MAKING)
    alike = (one for one in made if one.sources == tuple(sources) and one.digest == digest and one.is_made_as(recipe))
    return next((one for one in alike if one.status in usable), None)


def _next(made: Sequence[Product], share: Share, sources: Sequence[str], digest: str) -> Product:
    # Those that are being made count: they may be published first.
    version = 1 + max((one.version for one in made), default=0)
    item_id = published_item_id(product_name(sources, version), share.subscription.id)
    return Product(
        subscription_id=share.subscription.id,
        acquisition=share.acquisition,
        item_id=item_id,
        collection_id=published_collection_id(share.subscription.collection),
        prefix=f"{share.subscription.prefix}/{item_id}",
        sources=tuple(sources),
        digest=digest,
        version=version,
        updated_at=share.now,
    )


def _predecessor(made: Sequence[Product], product: Product) -> str | None:
    current = current_of(made)
    if current is not None and current.item_id != product.item_id:
        return current.item_id
    before = [one for one in made if one.successor == product.item_id]
    return before[-1].item_id if before else None
