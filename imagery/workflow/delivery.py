"""The items of one acquisition over the AOIs of its subscribers: look, choose, filter, settle, cut, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from imagery.errors import AoiInvalid, AssetMissing, FormulaInvalid, ImageryError
from imagery.model.outcome import SkipReason
from imagery.ports import Catalog, ObjectStore, ProductStore, Together
from imagery.raster.area import buffered
from imagery.workflow.aside import Aside
from imagery.workflow.deciding import Decision, decide_on
from imagery.workflow.draft import Draft
from imagery.workflow.fetching import Fetcher
from imagery.workflow.filtering import numbers_of, refusal
from imagery.workflow.finishing import finish
from imagery.workflow.looking import Prospect, look, name_of_look
from imagery.workflow.needs import Needs, needs_of, needs_quality
from imagery.workflow.products import confirm
from imagery.workflow.settling import settle_all
from imagery.workflow.share import Entry, Share
from imagery.workflow.writing import Writer

Ending = Entry | ImageryError

WHOLE = "whole"
"""Folder of copies of files that are read whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cutter:
    """Cuts one item for many subscriptions, opening each of its assets once.

    Held in memory at a time: one clip and its encoded file; for an index the bands of its formula, for a single file
    all its bands, of one subscriber, besides what is made of them. All else waits on disk, in a temporary folder.
    """

    objects: ObjectStore
    catalog: Catalog
    products: ProductStore
    together: Together
    max_clip_pixels: int

    def cut(self, shares: Sequence[Share]) -> tuple[Entry, ...]:
        """One entry a share; all are of one item.

        The quality band is looked at before all else: for who does not take what it shows, nothing else is read.

        One subscriber's error is theirs alone; when every share fails, an error is raised, so that it can be tried
        again: the first that waiting can help, else the first. Objects are written only when all of a share's assets
        are cut. Cutting twice leaves what cutting once does, and what was delivered before is not touched by a try
        that fails.
        """
        endings: dict[str, Ending] = {}
        with TemporaryDirectory(prefix="imagery-cut-", ignore_cleanup_errors=True) as folder:
            prospects = self._prospects(shares, Path(folder), endings)
            look(prospects, max_pixels=self.max_clip_pixels)
            drafts = self._drafts(prospects, endings)
            settle_all(drafts, folder=Path(folder) / WHOLE)
            fetcher = Fetcher(folder=Path(folder) / WHOLE, max_pixels=self.max_clip_pixels)
            fetcher.fetch([draft for draft in drafts if draft.error is None])
            of_draft = {prospect.share.subscription.id: prospect for prospect in prospects}
            for draft in drafts:
                subscription_id = draft.share.subscription.id
                endings[subscription_id] = _with_sight(self._ended(draft), of_draft[subscription_id])
        return _entries(shares, endings)

    def _prospects(self, shares: Sequence[Share], folder: Path, endings: dict[str, Ending]) -> list[Prospect]:
        """Those that something must be read for."""
        prospects: list[Prospect] = []
        for number, share in enumerate(shares):
            try:
                refused = share.refusal()
                if refused is None:
                    prospects.append(_prospect(share, Aside(folder=folder / str(number)), folder / WHOLE))
                else:
                    endings[share.subscription.id] = refused
            except ImageryError as error:
                endings[share.subscription.id] = error
        return prospects

    def _drafts(self, prospects: Sequence[Prospect], endings: dict[str, Ending]) -> list[Draft]:
        """Of those that are taken and not there yet."""
        drafts: list[Draft] = []
        for prospect in prospects:
            subscription_id = prospect.share.subscription.id
            try:
                if prospect.error is not None:
                    raise prospect.error
                decision = decide_on(prospect, max_pixels=self.max_clip_pixels)
                entry = self._is_there(prospect, decision) or _refusal(prospect, decision)
                if entry is None:
                    drafts.append(_draft(prospect, decision))
                else:
                    endings[subscription_id] = _with_sight(entry, prospect)
            except ImageryError as error:
                endings[subscription_id] = error
        return drafts

    def _is_there(self, prospect: Prospect, decision: Decision) -> Entry | None:
        """How it ends when these sources in these states are published already."""
        return confirm(
            prospect.share,
            sources=[item.id for item in decision.sources],
            products=self.products,
            together=self.together,
        )

    def _ended(self, draft: Draft) -> Ending:
        try:
            if draft.error is not None:
                raise draft.error
            return self._deliver(draft)
        except ImageryError as error:
            return error.with_traceback(None)

    def _deliver(self, draft: Draft) -> Entry:
        if draft.outline is None:
            numbers = numbers_of(draft.quality, 0.0, bytes_read=float(draft.bytes_read))
            return draft.share.skipped(SkipReason.OUTSIDE, "the scene has no data over the area", **numbers)
        if draft.quality is None:
            refused = refusal(
                draft.share,
                draft.sources[0],
                quality=None,
                coverage=draft.coverage,
                bytes_read=draft.bytes_read,
                trouble=draft.trouble,
            )
            if refused is not None:
                return refused
        finish(draft)
        writer = Writer(objects=self.objects, catalog=self.catalog, products=self.products, together=self.together)
        return writer.write(draft, draft.outline)


def _prospect(share: Share, aside: Aside, whole: Path) -> Prospect:
    """Raises what keeps every candidate from being made: AssetMissing, FormulaInvalid, AoiInvalid."""
    processing = share.subscription.processing
    geometry = buffered(share.subscription.aoi.geometry, processing.buffer_m)
    if geometry is None:
        raise AoiInvalid(
            f"nothing is left of the area when it is shrunk by {-processing.buffer_m:g} m; shrink it by less",
            field="/processing/buffer_m",
        )
    needs: dict[str, Needs] = {}
    errors: list[ImageryError] = []
    for item in share.candidates:
        try:
            needs[item.id] = needs_of(item, share.subscription)
        except (AssetMissing, FormulaInvalid) as error:
            errors.append(error)
    if not needs:
        raise errors[0]
    return Prospect(share=share, aside=aside, whole=whole, geometry=geometry, needs=needs, sights={})


def _refusal(prospect: Prospect, decision: Decision) -> Entry | None:
    sight = decision.sight
    if sight.trouble is not None and needs_quality(prospect.share.subscription):
        raise sight.trouble
    return refusal(
        prospect.share,
        decision.sources[0],
        quality=sight.quality,
        coverage=sight.coverage,
        bytes_read=decision.bytes_read,
        trouble=sight.trouble,
    )


def _draft(prospect: Prospect, decision: Decision) -> Draft:
    return Draft(
        share=prospect.share,
        sources=decision.sources,
        needs=prospect.needs[decision.sources[0].id],
        geometry=prospect.geometry,
        quality=decision.sight.quality,
        look=name_of_look(decision.sources),
        trouble=decision.sight.trouble,
        aside=prospect.aside,
        bytes_read=decision.bytes_read,
    )


def _with_sight(ending: Ending, prospect: Prospect) -> Ending:
    """With what was seen of the item that was asked for, where it is not in the product."""
    if not isinstance(ending, Entry) or ending.outcome.reason is not SkipReason.SUPERSEDED or ending.outcome.numbers:
        return ending
    sight = prospect.sights.get(prospect.share.item.id)
    if sight is None:
        return ending
    numbers = numbers_of(sight.quality, sight.coverage)
    return replace(ending, outcome=replace(ending.outcome, numbers=numbers))


def _entries(shares: Sequence[Share], endings: dict[str, Ending]) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    errors: list[ImageryError] = []
    for share in shares:
        ending = endings[share.subscription.id]
        if isinstance(ending, ImageryError):
            errors.append(ending)
            ending = share.failed(ending)
        entries.append(ending)
    if errors and len(errors) == len(shares):
        raise next((error for error in errors if error.retryable), errors[0])
    return tuple(entries)
