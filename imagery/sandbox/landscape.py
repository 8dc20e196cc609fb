"""A made-up countryside: parcels that green up, clouds and their shadows. Pure arrays, the same for the same seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ANGLE = math.radians(17.0)
PARCEL = (28.0, 40.0)
"""Sides of a parcel in pixels of 10 m: 11 ha."""

SHADOW_SHIFT = (-14, -10)
"""(rows, columns) from a cloud to its shadow, with the sun in the south-east."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The countryside on one day; arrays of shape (rows, columns)."""

    reflectance: dict[str, Floats]
    """blue, green, red, nir: 0 to 1."""

    scl: NDArray[np.uint8]
    """Sentinel-2 scene classes, at half the resolution."""


class Landscape:
    """Parcels of crops on a grid of `rows` by `columns`, both even."""

    def __init__(self, rows: int, columns: int, *, seed: int) -> None:
        self._shape = (rows, columns)
        self._seed = seed
        rng = np.random.default_rng(seed)
        row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
        along = (column * math.cos(ANGLE) + row * math.sin(ANGLE)) / PARCEL[0]
        across = (row * math.cos(ANGLE) - column * math.sin(ANGLE)) / PARCEL[1]
        parcel = (np.floor(along).astype(np.int64) * 7919 + np.floor(across).astype(np.int64) * 104_729) % 509
        self._lane = ((along % 1.0) < 0.07) | ((across % 1.0) < 0.05)
        self._bare = rng.uniform(0.16, 0.3, 509).astype(np.float32)[parcel]
        self._peak = rng.uniform(0.6, 0.9, 509).astype(np.float32)[parcel]
        self._midpoint = rng.uniform(4.0, 22.0, 509).astype(np.float32)[parcel]
        self._texture = rng.normal(1.0, 0.03, self._shape).astype(np.float32)

    def ndvi(self, day: float) -> Floats:
        """The vegetation index `day` days after the beginning of the season."""
        grown = 1.0 / (1.0 + np.exp((self._midpoint - np.float32(day)) / 4.0))
        ndvi = (self._bare + (self._peak - self._bare) * grown) * self._texture
        result: Floats = np.where(self._lane, np.float32(0.12), np.clip(ndvi, 0.05, 0.92)).astype(np.float32)
        return result

    def view(self, day: float, *, cloud_fraction: float) -> View:
        """As a satellite sees it that day."""
        ndvi, cloud = self.ndvi(day), self._clouds(day, cloud_fraction)
        shadow = np.clip(np.roll(cloud, SHADOW_SHIFT, axis=(0, 1)) - cloud, 0.0, 1.0)
        red = 0.03 + 0.13 * (1.0 - ndvi) ** 1.5
        ground = {"blue": 0.02 + 0.45 * red, "green": 0.035 + 0.55 * red, "red": red}
        ground["nir"] = red * (1.0 + ndvi) / (1.0 - ndvi)
        seen = {
            key: (band * (1.0 - 0.5 * shadow) * (1.0 - cloud) + 0.72 * cloud).astype(np.float32)
            for key, band in ground.items()
        }
        return View(reflectance=seen, scl=_classes(_halved(ndvi), _halved(cloud), _halved(shadow)))

    def _clouds(self, day: float, fraction: float) -> Floats:
        """Opacity, 0 to 1, that reaches a half over this fraction of the land."""
        if fraction <= 0.0:
            return np.zeros(self._shape, np.float32)
        rng = np.random.default_rng([self._seed, int(day * 24)])
        layers = [_smooth_noise(rng, self._shape, cell) * weight for cell, weight in ((128, 1.0), (48, 0.5), (16, 0.2))]
        field: Floats = np.sum(layers, axis=0)
        threshold = np.quantile(field, 1.0 - fraction)
        opacity: Floats = np.clip(0.5 + (field - threshold) * 3.0, 0.0, 1.0).astype(np.float32)
        return opacity


def parcel_corners(row: float, column: float, *, margin: float) -> list[tuple[float, float]]:
    """(row, column) of the corners of the parcel at a pixel, drawn in by a fraction of its sides on every side."""
    along = math.floor((column * math.cos(ANGLE) + row * math.sin(ANGLE)) / PARCEL[0])
    across = math.floor((row * math.cos(ANGLE) - column * math.sin(ANGLE)) / PARCEL[1])
    corners = [(margin, margin), (1 - margin, margin), (1 - margin, 1 - margin), (margin, 1 - margin)]
    turned = [((along + u) * PARCEL[0], (across + v) * PARCEL[1]) for u, v in corners]
    return [(u * math.sin(ANGLE) + v * math.cos(ANGLE), u * math.cos(ANGLE) - v * math.sin(ANGLE)) for u, v in turned]


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> Floats:
    """Random values every `cell` pixels, linear between them."""
    nodes = rng.normal(size=(shape[0] // cell + 2, shape[1] // cell + 2)).astype(np.float32)
    row, column = (np.arange(size, dtype=np.float32) / cell for size in shape)
    r, c = row.astype(int), column.astype(int)
    down, right = (row - r)[:, None], (column - c)[None, :]
    top = nodes[np.ix_(r, c)] * (1 - right) + nodes[np.ix_(r, c + 1)] * right
    bottom = nodes[np.ix_(r + 1, c)] * (1 - right) + nodes[np.ix_(r + 1, c + 1)] * right
    result: Floats = top * (1 - down) + bottom * down
    return result


def _halved(array: Floats) -> Floats:
    rows, columns = array.shape
    result: Floats = array.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    return result


def _classes(ndvi: Floats, cloud: Floats, shadow: Floats) -> NDArray[np.uint8]:
    """9 and 8 clouds, 3 shadow, 4 vegetation, 5 bare."""
    ground = np.where(ndvi > 0.4, 4, 5)
    return np.select([cloud > 0.8, cloud > 0.3, shadow > 0.4], [9, 8, 3], ground).astype(np.uint8)
