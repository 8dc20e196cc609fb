"""Areas on the WGS 84 ellipsoid, of outlines whose edges are straight in longitude and latitude (RFC 7946, 3.1.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEMI_MAJOR_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY = float(np.sqrt(FLATTENING * (2 - FLATTENING)))

# Gauss-Legendre over an edge: five points are exact to nine decimals for edges of several degrees.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)

Ring = Sequence[tuple[float, float]]


def area_km2(shell: Ring, holes: Sequence[Ring] = ()) -> float:
    """Of a closed ring of (longitude, latitude) in degrees without jumps at the antimeridian, less its holes."""
    return abs(_ring_area_km2(shell)) - sum(abs(_ring_area_km2(hole)) for hole in holes)


def _ring_area_km2(ring: Ring) -> float:
    """Signed. Green's theorem: the zone between an edge and the equator, summed around the ring."""
    longitude, latitude = np.radians(np.asarray(ring, dtype=np.float64)).T
    middle, half = (latitude[1:] + latitude[:-1]) / 2, (latitude[1:] - latitude[:-1]) / 2
    zones = _zone_m2(middle[:, None] + half[:, None] * _NODES) @ _WEIGHTS / 2
    # Counted from the first vertex's parallel, so that a small field is not the difference of two continents.
    zones -= _zone_m2(latitude[:1])[0]
    return float(np.sum(zones * np.diff(longitude))) / 1e6


def _zone_m2(latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area between the equator and a parallel, a radian of longitude.

    Snyder, Map Projections: A Working Manual (USGS Professional Paper 1395, 1987), equation 3-12 for q: the zone is
    a² q / 2.
    """
    sine = np.sin(latitude)
    e = ECCENTRICITY
    q = (1 - e**2) * (sine / (1 - (e * sine) ** 2) + np.arctanh(e * sine) / e)
    zone: NDArray[np.float64] = SEMI_MAJOR_M**2 * q / 2
    return zone
