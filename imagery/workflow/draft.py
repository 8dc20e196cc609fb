"""One share's delivery while it is made: its assets pass by one after another, and only what is small is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pystac

from imagery.errors import ImageryError, RasterError, RasterUnreadable
from imagery.items import CutAsset
from imagery.model.quality import Quality
from imagery.raster.area import Geometry
from imagery.raster.clip import Clip
from imagery.raster.cog import encode_cog
from imagery.raster.footprint import footprint
from imagery.raster.harmonise import harmonised, is_reflectance, left_as_it_is
from imagery.raster.mask import masked
from imagery.raster.quality import clear_pixels, on_grid
from imagery.raster.radiometry import Radiometry, of_file
from imagery.raster.thumbnail import Sample, encode_samples, sample
from imagery.workflow.aside import Aside
from imagery.workflow.described import described, with_body, with_numbers
from imagery.workflow.needs import Needs
from imagery.workflow.share import Share

MASK = "the mask"
"""Name under which the quality band's clip that masks is set aside; read with every pixel that the AOI touches."""

FOR_INDEX = "for an index: "
"""Begins the name of a band that an index is computed with, its numbers as they came: what harmonising has to clamp
is no loss to an index."""

DELIVERED = "delivered: "
"""Begins the name of a band that waits for the one file."""

_PICTURE = ("red", "green", "blue")


@dataclass(kw_only=True, slots=True)
class Draft:
    """What one share has got so far. Encoded files, and clips that others are made of, wait on disk; none is held."""

    share: Share
    sources: tuple[pystac.Item, ...]
    """Whose pixels are in it; the one on top first, which the others complete."""

    needs: Needs
    """Of the first source."""

    geometry: Geometry
    """The AOI as it is read: grown or shrunk."""

    quality: Quality | None
    look: str
    """Name under which the clip of the quality band may have been set aside when it was looked at."""

    trouble: RasterError | None
    """Why the quality band cannot be read, though there is one."""

    aside: Aside
    settled: dict[str, Radiometry | None] = field(default_factory=dict)
    """By asset key: what the source's numbers mean."""

    shifts: dict[tuple[str, str], float] = field(default_factory=dict)
    """By source item id and asset key: what is added to that tile's numbers, for them to mean what the first one's do.
    Only for what is harmonised."""

    radiometry: dict[str, Radiometry | None] = field(default_factory=dict)
    """By asset key: what the numbers mean that are stored."""

    error: ImageryError | None = None
    """What ended it; nothing is taken after that."""

    files: dict[str, Path] = field(default_factory=dict)
    assets: dict[str, CutAsset] = field(default_factory=dict)
    """Their hrefs are filled in when it is known what the item is called."""

    left_out: list[str] = field(default_factory=list)
    """Assets that do not reach the AOI."""

    widths: dict[str, float] = field(default_factory=dict)
    """Of the pixels of bands that an index is computed with, in units of their CRS."""

    shown: float = 0.0
    """Fraction of the AOI with data, of the asset that has most."""

    valid_pixels: int = 0
    """Of all assets together."""

    bytes_read: int = 0
    """An estimate: the size of the blocks its windows touch."""

    outline: dict[str, Any] | None = None
    """GeoJSON: the AOI clipped to the data of the asset that says most of it, masked pixels included."""

    to_stack: list[str] = field(default_factory=list)
    """Bands set aside for the one file."""

    _rank: tuple[float, int] = (0.0, 0)
    _samples: dict[str, Sample] = field(default_factory=dict)

    @property
    def coverage(self) -> float:
        """Fraction of the AOI that the acquisition shows: by the quality band, else by the asset that has most."""
        return self.shown if self.quality is None else self.quality.coverage

    def fail(self, error: ImageryError) -> None:
        """It ends here. An error's traceback would hold clips."""
        self.error = error.with_traceback(None)

    def take(self, key: str, result: Clip | RasterError | None) -> None:
        """What one asset gave over the AOI; never raises, an error is kept as the share's own."""
        try:
            if isinstance(result, RasterError):
                raise result
            if result is None:
                self.left_out.append(key)
            else:
                self._measure(result)
                self._keep(key, self._masked(key, result))
        except ImageryError as error:
            self.fail(error)

    def take_mask(self, result: Clip | RasterError | None) -> None:
        """The quality band with every pixel that the AOI touches. Raises its error."""
        if isinstance(result, RasterError):
            raise result
        if result is None:
            raise RasterUnreadable(f"the quality band of {self.sources[0].id} does not reach the area to be masked")
        self.bytes_read += result.bytes_read
        self.aside.put_clip(MASK, result)

    def take_touched(self, key: str, result: Clip | RasterError | None) -> None:
        """A band that an index is computed with, read anew with every pixel that the AOI touches."""
        try:
            if isinstance(result, RasterError):
                raise result
            if result is not None:
                self.bytes_read += result.bytes_read
                self.aside.put_clip(FOR_INDEX + key, self._masked(key, result))
        except ImageryError as error:
            self.fail(error)

    def deliver(self, key: str, clip: Clip, asset: CutAsset) -> None:
        """Encode it and set it aside; `asset` says what is known of it so far."""
        body = encode_cog(clip, categorical=key in self.needs.categorical)
        self.files[key] = self.aside.put_file(key, body)
        self.assets[key] = with_body(asset, body)

    def show(self, key: str, clip: Clip) -> None:
        """Keep a small copy for the thumbnail, if it is of use."""
        if key in _PICTURE or not any(one.shown.any() for one in self._samples.values()):
            self._samples[key] = sample(clip)

    def thumbnail(self) -> bytes:
        """PNG: red, green and blue on one grid where they were asked for, else the first asset with data."""
        colours = [self._samples[key] for key in _PICTURE if key in self._samples]
        if len(colours) == len(_PICTURE) and len({colour.grid for colour in colours}) == 1:
            return encode_samples(colours)
        kept = list(self._samples.values())
        return encode_samples([next((one for one in kept if one.shown.any()), kept[0])])

    def _measure(self, clip: Clip) -> None:
        self.bytes_read += clip.bytes_read
        self.shown = max(self.shown, clip.coverage)
        # Grids of several resolutions put the edge of the same data a pixel apart: equal to a percent is equal.
        rank = (round(clip.coverage, 2), clip.aoi_pixels)
        if clip.valid_pixels and rank > self._rank:
            self._rank, self.outline = rank, footprint(clip, self.geometry)

    def _masked(self, key: str, clip: Clip) -> Clip:
        quality = self.needs.quality
        if not self.share.subscription.processing.mask or quality is None or key == quality[0]:
            return clip
        seen = self.aside.clip(MASK)
        return masked(clip, on_grid(clear_pixels(seen, quality[1]), seen, clip))

    def _harmonised(self, key: str, clip: Clip) -> Clip:
        """If asked for; and saying itself what its numbers mean."""
        radiometry = self.settled.get(key)
        if radiometry is None and key not in self.needs.categorical:
            radiometry = of_file(clip.scales, clip.offsets)
        if self.share.subscription.processing.harmonise and radiometry and key not in self.needs.categorical:
            if is_reflectance(self.sources[0], key):
                clip, radiometry = harmonised(clip, radiometry)
            elif _has_offset(radiometry):
                radiometry = left_as_it_is(radiometry)
        self.radiometry[key] = radiometry
        return with_numbers(clip, radiometry)

    def _keep(self, key: str, clip: Clip) -> None:
        if self.needs.is_computed_with(key):
            self.widths[key] = clip.resolution[0]
            self.aside.put_clip(FOR_INDEX + key, clip)
        if key not in self.needs.delivered:
            return
        clip = self._harmonised(key, clip)
        self.valid_pixels += clip.valid_pixels
        self.show(key, clip)
        if self.share.subscription.processing.single_file and key not in self.needs.categorical:
            self.aside.put_clip(DELIVERED + key, clip)
            self.to_stack.append(key)
        else:
            self.deliver(key, clip, described(key, clip, self.radiometry.get(key)))


def _has_offset(radiometry: Radiometry) -> bool:
    return bool(radiometry.offset) or any(pair is not None and pair[1] for pair in radiometry.bands)
