"""Verification: what was published is read again, and whatever is not as it was made is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import Affine, from_origin

from imagery.catalogs.sqlite.catalog import SqliteCatalog
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.model.outcome import Outcome, OutcomeStatus
from imagery.model.product import Product, ProductStatus
from imagery.objects import open_objects
from imagery.raster.agreement import disagreements
from imagery.service.verifying import MAKE_ANEW, PUBLISH_AGAIN, Difference, Verification, Verified
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.ledger import SqliteLedger
from imagery.stores.sqlite.products import SqliteProductStore

AT = datetime(2026, 5, 1, 10, tzinfo=UTC)
TRANSFORM = from_origin(500_000, 5_100_000, 10, 10)
COLLECTION, SUB = "sentinel-2-l2a", "sub_1"


@dataclass(frozen=True)
class Place:
    """Stores on a temporary folder, and what is verified in them."""

    verification: Verification
    folder: Path

    def cog(self, *, driver: str = "COG", nodata: float = 0, scale: float = 0.0001) -> bytes:
        path = self.folder / "scratch.tif"
        with rasterio.open(
            *(path, "w"),
            **{"driver": driver, "height": 30, "width": 40, "count": 1, "dtype": "uint16", "crs": "EPSG:32633"},
            transform=TRANSFORM,
            nodata=nodata,
        ) as out:
            out.write(np.arange(1, 1201, dtype="uint16").reshape(1, 30, 40))
            out.scales, out.offsets = [scale], [-0.1]
        return path.read_bytes()

    def publish(self, number: int = 1, body: bytes | None = None, **changes: Any) -> Product:
        """A product of one asset, with its item; `changes` are fields of the asset, or of the product."""
        v, body = self.verification, self.cog() if body is None else body
        fields = {name: changes.pop(name) for name in list(changes) if ":" in name or name == "nodata"}
        product = Product(
            subscription_id=SUB,
            acquisition="datatake",
            item_id=f"made-{number}",
            collection_id=COLLECTION,
            prefix=f"{SUB}/made-{number}",
            sources=("a",),
            status=ProductStatus.CURRENT,
            updated_at=AT,
        )
        product = replace(product, **changes)
        href = v.objects.put(f"{product.prefix}/red.tif", body, media_type=pystac.MediaType.COG)
        said = {
            **{"file:size": len(body), "file:checksum": "1220" + hashlib.sha256(body).hexdigest()},
            **{"proj:shape": [30, 40], "proj:transform": list(TRANSFORM)[:6], "proj:code": "EPSG:32633"},
            **{"nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1},
            **fields,
        }
        box = {"type": "Polygon", "coordinates": [[[15, 46], [15.1, 46], [15.1, 46.1], [15, 46]]]}
        item = pystac.Item(
            product.item_id, box, [15, 46, 15.1, 46.1], AT, {"eo:cloud_cover": 12.5}, collection=COLLECTION
        )
        item.add_asset("red", pystac.Asset(href=href, media_type=pystac.MediaType.COG, extra_fields=said))
        v.catalog.publish([item])
        stored = json.dumps(item.to_dict(include_self_link=False, transform_hrefs=False)).encode()
        v.objects.put(f"{product.prefix}/item.json", stored, media_type=pystac.MediaType.GEOJSON)
        v.products.save(product)
        return product

    def found(self) -> list[Verified]:
        return list(self.verification.verify(SUB))

    def only(self) -> Difference:
        ((difference,),) = [each.differences for each in self.found()]
        return difference

    def overwrite(self, key: str, body: bytes) -> None:
        self.verification.objects.put(key, body, media_type=pystac.MediaType.COG)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Database(tmp_path / "imagery.db") as database, closing(CatalogStore(tmp_path / "catalog.db")) as store:
        catalog = SqliteCatalog(store)
        everywhere = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
        extent = pystac.Extent.from_dict(everywhere)
        catalog.ensure_collection(pystac.Collection(COLLECTION, "Sentinel-2", extent, license="other"))
        verification = Verification(
            ledger=SqliteLedger(database),
            products=SqliteProductStore(database),
            catalog=catalog,
            objects=open_objects((tmp_path / "objects").as_uri()),
        )
        yield Place(verification, tmp_path)


def test_what_is_as_it_was_made_is_counted_and_nothing_is_said(place: Place) -> None:
    first, second = place.publish(1), place.publish(2)
    assert place.found() == [
        Verified(item_id=each.item_id, assets=1, bytes=len(place.cog())) for each in (first, second)
    ]


def test_a_changed_byte_is_found_by_the_checksum(place: Place) -> None:
    product, body = place.publish(), bytearray(place.cog())
    body[-1] ^= 1
    place.overwrite(f"{product.prefix}/red.tif", bytes(body))
    difference = place.only()
    assert (difference.asset, difference.what) == ("red", "has another sha256 than its item says")
    assert difference.href.endswith("made-1/red.tif")
    assert difference.remedy == MAKE_ANEW


def test_a_file_cut_short_is_found_by_its_size(place: Place) -> None:
    product = place.publish()
    place.overwrite(f"{product.prefix}/red.tif", place.cog()[:-10])
    assert place.only().what == f"has {len(place.cog()) - 10} bytes, its item says {len(place.cog())}"


def test_a_file_that_is_gone_is_missed_and_others_are_still_read(place: Place) -> None:
    product = place.publish(1)
    place.publish(2)
    (place.folder / "objects" / product.prefix / "red.tif").unlink()
    first, second = place.found()
    assert [each.what for each in first.differences] == ["is gone"]
    assert second.differences == ()


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"proj:shape": [40, 30]}, "pixels"),
        ({"proj:transform": [*list(TRANSFORM * Affine.translation(1, 0))[:6]]}, "lies at"),
        ({"proj:code": "EPSG:32634"}, "reference system"),
        ({"nodata": 65535}, "nodata"),
        ({"raster:offset": 0.0}, "offset"),
        ({"file:checksum": "none"}, "no checksum"),
    ],
)
def test_an_item_that_says_other_than_its_file_is_named(place: Place, said: dict[str, Any], word: str) -> None:
    place.publish(**said)
    assert word in place.only().what


@pytest.mark.parametrize(("body", "word"), [(b"no raster at all", "does not open"), (None, "Cloud-Optimized")])
def test_a_file_that_was_never_a_cog_is_named(place: Place, body: bytes | None, word: str) -> None:
    place.publish(body=body or place.cog(driver="GTiff"))
    assert word in place.only().what


def test_an_item_changed_in_the_catalog_is_named_with_what_changed(place: Place) -> None:
    product = place.publish()
    item = place.verification.catalog.get(COLLECTION, product.item_id)
    assert item is not None
    item.properties["eo:cloud_cover"] = 0.0
    place.verification.catalog.publish([item])
    difference = place.only()
    assert (difference.asset, difference.what) == (None, "differs from the stored one in eo:cloud_cover")
    assert difference.remedy == PUBLISH_AGAIN


def test_an_item_that_is_not_in_the_catalog_is_missed_and_its_files_are_read(place: Place) -> None:
    product = place.publish()
    place.verification.catalog.retract(COLLECTION, [product.item_id])
    (found,) = place.found()
    assert [each.what for each in found.differences] == ["is not in the catalog"]
    assert found.assets == 1


def test_a_superseded_item_may_differ_from_its_first_state_but_not_its_files(place: Place) -> None:
    product = place.publish(status=ProductStatus.SUPERSEDED)
    item = place.verification.catalog.get(COLLECTION, product.item_id)
    assert item is not None
    item.properties["updated"] = "2026-06-01T00:00:00Z"
    place.verification.catalog.publish([item])
    assert place.found()[0].differences == ()
    place.overwrite(f"{product.prefix}/red.tif", b"")
    assert place.only().asset == "red"


def test_what_is_being_made_is_not_looked_at(place: Place) -> None:
    product = place.publish()
    place.verification.catalog.retract(COLLECTION, [product.item_id])
    place.verification.products.save(replace(product, status=ProductStatus.MAKING))
    assert place.found() == []


def test_what_was_delivered_before_products_were_kept_is_verified_by_its_item(place: Place) -> None:
    product = place.publish()
    place.verification.products.remove(product)
    row = Outcome(
        subscription_id=SUB,
        item_id="a",
        collection=COLLECTION,
        status=OutcomeStatus.DELIVERED,
        acquired_at=AT,
        published_item_id=product.item_id,
        published_collection=COLLECTION,
        request_id="req_1",
        updated_at=AT,
    )
    place.verification.ledger.record(row)
    assert place.found() == [Verified(item_id=product.item_id, assets=1, bytes=len(place.cog()))]
    place.overwrite(f"{product.prefix}/red.tif", b"")
    assert place.only().asset == "red"


def test_an_asset_outside_the_store_is_not_fetched(place: Place) -> None:
    product = place.publish()
    item = place.verification.catalog.get(COLLECTION, product.item_id)
    assert item is not None
    item.assets["red"].href = "https://elsewhere.example.com/red.tif"
    place.verification.catalog.publish([item])
    stored = json.dumps(item.to_dict(include_self_link=False, transform_hrefs=False)).encode()
    place.overwrite(f"{product.prefix}/item.json", stored)
    assert place.only().what == "is gone"


def test_a_scale_that_only_the_file_knows_is_named(place: Place) -> None:
    said = {"imagery:radiometry": "by its baseline", "raster:scale": None, "raster:offset": None}
    place.publish(**said)

    assert "its item says nothing of either" in place.only().what


def test_scales_that_are_said_band_by_band_are_held_against_the_file(place: Place) -> None:
    told = {"raster:scale": 0.0001, "raster:offset": 0.0}
    item = pystac.Asset(
        "a.tif", extra_fields={"proj:shape": [30, 40], "nodata": 0, "data_type": "int16", "bands": [told]}
    )
    body = place.cog()
    item.extra_fields["file:checksum"] = "1220" + hashlib.sha256(body).hexdigest()

    assert disagreements(body, item) == [
        "holds uint16, its item says int16",
        "has scale 0.0001 and offset -0.1, its item says 0.0001 and 0.0",
    ]
