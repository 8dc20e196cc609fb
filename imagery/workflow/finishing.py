"""What is made of several assets when all have been taken: indices, and the one file of all bands."""

from __future__ import annotations

from imagery.raster.bands import is_alpha
from imagery.raster.index import compute
from imagery.raster.stack import stacked
from imagery.workflow.described import described_index, described_stack
from imagery.workflow.draft import DELIVERED, FOR_INDEX, Draft
from imagery.workflow.needs import Computed

STACK = "bands"
"""Asset key of the one file that holds all bands. Classes stay in files of their own, for overviews must not average
them; so do indices, whose numbers mean something else."""


def finish(draft: Draft) -> None:
    """Held at once: the bands of one formula, or all bands that go into the file, and what is made of them.

    An index of a band that does not reach the AOI is left out, as that is. Raises RasterError, FormulaInvalid.
    """
    for one in draft.needs.computed:
        if one.keys.isdisjoint(draft.left_out):
            _compute(draft, one)
        else:
            draft.left_out.append(one.index.name)
    if draft.to_stack:
        _stack(draft)


def left_out_of(draft: Draft) -> tuple[str, ...]:
    """Of what was asked for: bands that an index alone is computed with are not."""
    wanted = {*draft.needs.delivered, *(one.index.name for one in draft.needs.computed)}
    return tuple(key for key in draft.left_out if key in wanted)


def order_of(draft: Draft) -> list[str]:
    """Asset keys as they are published: bands in the subscriber's order, the file of all of them, indices."""
    order = [*draft.needs.delivered, STACK, *(one.index.name for one in draft.needs.computed)]
    return [key for key in dict.fromkeys(order) if key in draft.assets]


def _compute(draft: Draft, one: Computed) -> None:
    clips = {key: draft.aside.clip(FOR_INDEX + key) for key in one.keys}
    bands = {name: (clips[key], number) for name, (key, number) in one.bands.items()}
    clip = compute(one.formula, bands, {name: draft.settled.get(key) for name, (key, _) in one.bands.items()})
    del bands, clips
    draft.valid_pixels += clip.valid_pixels
    draft.show(one.index.name, clip)
    draft.deliver(one.index.name, clip, described_index(one.index.name, clip, formula=one.index.formula))


def _stack(draft: Draft) -> None:
    clips = {key: draft.aside.clip(DELIVERED + key) for key in draft.needs.delivered if key in draft.to_stack}
    of = [
        (key, draft.radiometry.get(key))
        for key, clip in clips.items()
        for index in range(clip.data.shape[0])
        if not is_alpha(clip, index)
    ]
    clip = stacked(clips)
    del clips
    draft.deliver(STACK, clip, described_stack(STACK, clip, of))
