"""Takes one area out of a GeoJSON file: a geometry, a Feature, or one of a FeatureCollection's features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imagery.errors import AoiInvalid

MAX_FILE_BYTES = 64 * 2**20
SHOWN = 5
"""Ids named in a message about too many of them."""


def read_aoi(path: Path, *, feature: str | None = None) -> dict[str, Any]:
    """The GeoJSON geometry to subscribe to, not yet judged as one.

    `feature` is a feature's id (its own, or `id` or `name` of its properties), else its place in the file, counted
    from 0; needed when the file holds several. Raises AoiInvalid.
    """
    document = _read(path)
    # What its coordinates mean, in files older than RFC 7946, stands at the top; the judge of areas must see it.
    frame = {"crs": document["crs"]} if "crs" in document else {}
    if document.get("type") == "FeatureCollection":
        document = _choose(path, [f for f in _array(document.get("features")) if isinstance(f, dict)], feature)
    elif feature is not None and feature != "0" and feature not in _names(document):
        raise AoiInvalid(f"{path} holds one area only, not {feature!r}; leave --feature out", field="--feature")
    if document.get("type") != "Feature":
        return {**document, **frame}
    geometry = document.get("geometry")
    if not isinstance(geometry, dict):
        raise AoiInvalid(f"the feature of {path} has no geometry", field="/geometry")
    return {**geometry, **frame}


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise AoiInvalid(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB; save the one area to its own file")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise AoiInvalid(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise AoiInvalid(f"{path} is not JSON ({error}); save the area as GeoJSON") from error
    if not isinstance(document, dict):
        raise AoiInvalid(f"{path} is not GeoJSON: it holds no object")
    return document


def _choose(path: Path, features: list[dict[str, Any]], feature: str | None) -> dict[str, Any]:
    if not features:
        raise AoiInvalid(f"{path} holds no feature", field="/features")
    if feature is None:
        if len(features) == 1:
            return features[0]
        raise AoiInvalid(
            f"{path} holds {len(features)} features; choose one with --feature: {_some(features)}, "
            f"or 0 to {len(features) - 1}",
            field="--feature",
        )
    for candidate in features:
        if feature in _names(candidate):
            return candidate
    if feature.isdecimal() and int(feature) < len(features):
        return features[int(feature)]
    raise AoiInvalid(
        f"{path} has no feature {feature!r}; it has {_some(features)}, or 0 to {len(features) - 1}", field="--feature"
    )


def _names(feature: dict[str, Any]) -> list[str]:
    properties = feature.get("properties")
    inner = properties if isinstance(properties, dict) else {}
    found = (feature.get("id"), inner.get("id"), inner.get("name"))
    return [str(name) for name in found if isinstance(name, str | int)]


def _some(features: list[dict[str, Any]]) -> str:
    names = [names[0] for feature in features[:SHOWN] if (names := _names(feature))]
    return ", ".join(names) + (" …" if len(features) > SHOWN else "") if names else "they have no ids"


def _array(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
