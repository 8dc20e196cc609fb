"""Whether STAC JSON satisfies the core schemas and every extension it declares; offline, from tests/schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT7

SCHEMAS = Path(__file__).parent / "schemas"

_CORE = "https://schemas.stacspec.org/v1.1.0"
_CORE_SCHEMAS = {
    "Feature": f"{_CORE}/item-spec/json-schema/item.json",
    "Collection": f"{_CORE}/collection-spec/json-schema/collection.json",
}

_formats = FormatChecker(formats=())


class SchemaMissing(LookupError):
    """A schema that tests/schemas does not hold; nothing is ever fetched."""


@_formats.checks("date-time", raises=ValueError)
def _is_instant(text: object) -> bool:
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


@_formats.checks("iri")
@_formats.checks("uri")
def _is_absolute(text: object) -> bool:
    return not isinstance(text, str) or ":" in text


def errors_of(stac: Mapping[str, Any]) -> list[str]:
    """What is wrong with an item or a collection, one line an error; empty when it is valid.

    `stac` is JSON as a publisher writes it. An item that names its collection needs a link to it, which the API adds:
    here as well, when there is none. Raises SchemaMissing for a declared schema that is not held here.
    """
    kind = stac.get("type")
    if kind not in _CORE_SCHEMAS:
        return [f"/type: {kind!r} is neither Feature nor Collection"]
    if stac.get("stac_version") != "1.1.0":
        return [f"/stac_version: {stac.get('stac_version')!r} is not 1.1.0"]
    # As a reader will see it: tuples are arrays, and nan is no JSON.
    plain = json.loads(json.dumps(_linked(stac), allow_nan=False))
    return [error for url in (_CORE_SCHEMAS[kind], *plain.get("stac_extensions", ())) for error in _errors(plain, url)]


def _errors(stac: dict[str, Any], url: str) -> Iterator[str]:
    for error in _validator(url).iter_errors(stac):
        yield f"/{'/'.join(map(str, error.absolute_path))}: {error.message[:300]} ({url})"
        for inner in sorted(error.context or (), key=lambda part: -len(part.absolute_path))[:5]:
            yield f"  because /{'/'.join(map(str, inner.absolute_path))}: {inner.message[:300]}"


def _linked(stac: Mapping[str, Any]) -> dict[str, Any]:
    links = list(stac.get("links", ()))
    if "collection" in stac and not any(link.get("rel") == "collection" for link in links):
        links.append({"rel": "collection", "href": f"https://example.com/collections/{stac['collection']}"})
    return {**stac, "links": links}


@cache
def _validator(url: str) -> Draft7Validator:
    resource = _registry().get(url)
    if resource is None:
        raise SchemaMissing(f"{url} is not in {SCHEMAS}; put it there and name its origin in SOURCES.md")
    return Draft7Validator(resource.contents, registry=_registry(), format_checker=_formats)


@cache
def _registry() -> Registry[Any]:
    """Every schema of the folder, by the address that its path spells; without a way to retrieve others."""
    schemas = {
        f"https://{path.relative_to(SCHEMAS).as_posix()}": json.loads(path.read_text(encoding="utf-8"))
        for path in SCHEMAS.rglob("*.json")
    }
    schemas["http://json-schema.org/draft-07/schema"] = Draft7Validator.META_SCHEMA
    return Registry().with_contents(schemas.items(), default_specification=DRAFT7).crawl()
