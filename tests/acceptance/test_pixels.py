"""Real scenes over real parcels, held against what rasterio and numpy make of the same files, pixel for pixel."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling as Kernel
from rasterio.features import geometry_mask, geometry_window
from rasterio.mask import mask
from rasterio.merge import merge
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_geom

from imagery.catalogs.sqlite.catalog import SqliteCatalog
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.model.aoi import parse_aoi
from imagery.model.outcome import Outcome, OutcomeStatus
from imagery.model.processing import Index, Processing, Resampling
from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority, Subscription
from imagery.objects import open_objects
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.products import SqliteProductStore
from imagery.workflow.delivery import Cutter
from imagery.workflow.share import Share

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DATES = ("20230810", "20230813", "20230815", "20230818", "20230820")
FILES = {"blue": "B02.tif", "green": "B03.tif", "red": "B04.tif", "nir": "B08.tif", "scl": "SCL.tif"}
CLEAR, CLOUD = (2, 4, 5, 6, 7), (8, 9, 10)

Pixels = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One parcel's own subscription."""

    feature: dict[str, Any]
    subscription: Subscription

    @property
    def geometry(self) -> dict[str, Any]:
        return dict(self.subscription.aoi.geometry)

    def on(self, crs: Any) -> dict[str, Any]:
        placed: dict[str, Any] = transform_geom("EPSG:4326", crs, self.geometry)
        return placed


@dataclass(frozen=True, kw_only=True)
class Made:
    """What one field got of one datatake."""

    field: Field
    outcome: Outcome
    item: pystac.Item
    """As published."""

    @property
    def sources(self) -> list[str]:
        found: list[str] = self.item.properties["imagery:source_items"]
        return found

    def read(self, key: str) -> tuple[Pixels, Any]:
        """(data of shape (bands, height, width), transform)."""
        with rasterio.open(self.item.assets[key].href) as src:
            return src.read(), src.transform


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Cuts datatakes for fields, into a folder."""

    scenes: Path
    folder: Path
    cutter: Cutter

    def items(self, date: str) -> list[pystac.Item]:
        """33TWM's first, which all parcels lie on; hrefs are files."""
        folders = sorted(self.scenes.glob(f"S2?_33TW?_{date}_0_L2A"), reverse=True)
        return [_item(folder) for folder in folders]

    def path(self, item_id: str, key: str) -> Path:
        return self.scenes / item_id / FILES[key]

    def cut(self, date: str, fields: Sequence[Field], items: Sequence[pystac.Item] | None = None) -> list[Made]:
        """Of all the tiles that show the date; every field must be delivered."""
        item, *siblings = items or self.items(date)
        request = Request.for_item(
            kind=RequestKind.UPDATE,
            priority=Priority.NORMAL,
            provider="earth-search",
            collection="sentinel-2-l2a",
            item_id=item.id,
            item_updated_at=None,
            subscription_ids=[field.subscription.id for field in fields],
            now=NOW,
        )
        shares = [
            Share(item=item, siblings=tuple(siblings), subscription=field.subscription, request=request, now=NOW)
            for field in fields
        ]
        return [self._made(field, entry) for field, entry in zip(fields, self.cutter.cut(shares), strict=True)]

    def _made(self, field: Field, entry: Any) -> Made:
        assert entry.item_key is not None, entry.outcome
        item = pystac.Item.from_dict(json.loads((self.folder / "objects" / entry.item_key).read_text()))
        return Made(field=field, outcome=entry.outcome, item=item)


def _item(folder: Path) -> pystac.Item:
    """With those of its assets that are here."""
    item = pystac.Item.from_dict(json.loads((folder / f"{folder.name}.json").read_text()))
    for key, asset in list(item.assets.items()):
        if FILES.get(key) and (folder / FILES[key]).is_file():
            asset.href = str(folder / FILES[key])
        else:
            del item.assets[key]
    return item


@pytest.fixture(scope="module")
def bench(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("pixels")
    with Database(folder / "imagery.db") as database, closing(CatalogStore(folder / "catalog.db")) as store:
        cutter = Cutter(
            objects=open_objects((folder / "objects").as_uri()),
            catalog=SqliteCatalog(store),
            products=SqliteProductStore(database),
            together=database.write,
            max_clip_pixels=10_000_000,
        )
        yield Bench(scenes=shared_data / "imagery" / "earthsearch_33T_2023-08", folder=folder, cutter=cutter)


@pytest.fixture(scope="module")
def field_of(shared_data: Path) -> Callable[..., Field]:
    """The parcel of this number; other options are another subscription."""
    path = shared_data / "fields" / "parcels_slovenia_over_33TWM_33TWL.geojson"
    features = json.loads(path.read_text())["features"]
    made = 0

    def field(number: int, *, geometry: dict[str, Any] | None = None, **changes: Any) -> Field:
        nonlocal made
        made += 1
        feature = {**features[number], **({"geometry": geometry} if geometry else {})}
        aoi, _ = parse_aoi(feature, max_vertices=5_000, max_area_km2=1_000)
        subscription = Subscription(
            id=f"sub_{made:026d}",
            owner="ana",
            aoi=aoi,
            provider="earth-search",
            collection="sentinel-2-l2a",
            assets=("red", "nir", "scl"),
            start_at=NOW,
            created_at=NOW,
            updated_at=NOW,
        )
        return Field(feature=feature, subscription=replace(subscription, **changes))

    return field


@pytest.fixture(scope="module")
def everything(bench: Bench, field_of: Callable[..., Field]) -> dict[str, list[Made]]:
    """Every parcel on every date."""
    fields = [field_of(number) for number in range(100)]
    return {date: bench.cut(date, fields) for date in DATES}


def test_the_fractions_in_item_and_ledger_are_those_counted_in_the_scene_classes(
    bench: Bench, everything: dict[str, list[Made]]
) -> None:
    compared, clouds = 0, set()
    for made in (one for date in DATES for one in everything[date]):
        assert len(made.sources) == 1
        with rasterio.open(bench.path(made.sources[0], "scl")) as src:
            counted = _counts(src.read(1), src, made.field.on(src.crs))
        said = made.item.properties
        for name, fraction in counted.items():
            assert said[f"imagery:{name}_fraction"] == pytest.approx(fraction, abs=1e-6), (made.item.id, name)
        if made.outcome.status is OutcomeStatus.DELIVERED:
            for name in ("clear", "cloud", "shadow", "snow", "water", "unknown"):
                assert made.outcome.numbers[name] == pytest.approx(counted[name], abs=1e-6)
        assert said["imagery:coverage"] == pytest.approx(1 - counted["nodata"], abs=1e-6)
        if counted["nodata"] < 1:
            assert said["eo:cloud_cover"] == pytest.approx(100 * counted["cloud"] / (1 - counted["nodata"]), abs=1e-3)
        clouds.add(round(counted["cloud"], 3))
        compared += 1

    assert compared == 500
    assert len(clouds) > 10


def test_a_field_on_the_overlap_of_two_tiles_gets_one_item_a_datatake(
    bench: Bench, everything: dict[str, list[Made]], field_of: Callable[..., Field]
) -> None:
    both = 0
    for date in DATES:
        taken = {(made.outcome.subscription_id, made.item.id) for made in everything[date]}
        assert len(taken) == len({subscription_id for subscription_id, _ in taken}) == 100
        both += sum("33TWL" in made.sources[0] for made in everything[date])
    assert both > 100  # of 31 parcels on both tiles, on five dates

    # Whichever tile was asked for, the choice is the same.
    number = next(i for i, made in enumerate(everything[DATES[0]]) if "33TWL" in made.sources[0])
    (again,) = bench.cut(DATES[0], [field_of(number)], items=bench.items(DATES[0])[::-1])
    assert again.sources == everything[DATES[0]][number].sources


def test_every_clip_is_what_rasterio_masks(bench: Bench, everything: dict[str, list[Made]]) -> None:
    sub_pixel = 0
    for made in (one for date in DATES for one in everything[date]):
        for key in ("red", "nir", "scl"):
            with rasterio.open(bench.path(made.sources[0], key)) as src:
                expected, transform, touched = _masked(src, made.field.on(src.crs))
            found, at = made.read(key)
            np.testing.assert_array_equal(found, expected, err_msg=f"{made.item.id} {key}")
            assert at == transform
            sub_pixel += touched

    assert sub_pixel > 300  # fields that hold no pixel's centre get those they touch


def test_a_field_over_the_edge_of_a_tile_is_a_mosaic_as_rasterio_merges_it(
    bench: Bench, field_of: Callable[..., Field]
) -> None:
    # From the north of the one window to the south of the other: no tile shows it all.
    box = {"type": "Polygon", "coordinates": [[[15.6, 45.9], [15.68, 45.9], [15.68, 46.1], [15.6, 46.1], [15.6, 45.9]]]}
    indexed = Processing(indices=(Index(name="ndvi", formula="(nir - red) / (nir + red)"),), mask=True)
    field, masked = field_of(0, geometry=box), field_of(0, geometry=box, processing=indexed)

    made, clear = bench.cut("20230820", [field, masked])

    assert sorted(one[4:9] for one in made.sources) == ["33TWL", "33TWM"]
    assert made.item.properties["imagery:coverage"] == 1.0
    merged = {}
    for key in ("red", "nir", "scl"):
        expected, transform = _merged([bench.path(one, key) for one in made.sources], field)
        found, at = made.read(key)
        np.testing.assert_array_equal(found, expected, err_msg=key)
        assert at == transform
        merged[key] = expected[0]
    inside = merged["red"] != 0
    counted = np.isin(merged["scl"][inside], CLEAR).mean()
    assert made.item.properties["imagery:clear_fraction"] == pytest.approx(counted, abs=1e-4)
    seen = np.isin(merged["scl"], CLEAR)
    np.testing.assert_array_equal(clear.read("red")[0][0], np.where(seen, merged["red"], 0))
    np.testing.assert_array_equal(clear.read("ndvi")[0][0], _ndvi(merged["red"], merged["nir"], seen & inside))


def test_masked_pixels_are_those_that_the_scene_classes_call_unclear(
    bench: Bench, field_of: Callable[..., Field]
) -> None:
    field = field_of(0, geometry=_square(15.5, 46.2), processing=Processing(mask=True))

    (made,) = bench.cut("20230818", [field])

    with rasterio.open(bench.path(made.sources[0], "scl")) as src:
        classes, _, _ = _masked(src, field.on(src.crs))
    with rasterio.open(bench.path(made.sources[0], "red")) as src:
        red, _, _ = _masked(src, field.on(src.crs))
    clear = np.isin(classes, CLEAR)
    assert 0.05 < clear.mean() < 0.95
    np.testing.assert_array_equal(made.read("red")[0], np.where(clear, red, 0))
    np.testing.assert_array_equal(made.read("scl")[0], classes)


def test_a_harmonised_clip_holds_the_reflectance_of_the_source_without_an_offset(
    bench: Bench, field_of: Callable[..., Field]
) -> None:
    item = bench.items("20230820")[0]
    shifted = _with_offset(item, bench.folder / "shifted")
    plain = field_of(0, geometry=_square(15.5, 46.2))
    field = field_of(0, geometry=_square(15.5, 46.2), processing=Processing(harmonise=True))

    (as_it_is,) = bench.cut("", [plain], items=[shifted])
    (made,) = bench.cut("", [field], items=[shifted])

    with rasterio.open(item.assets["red"].href) as src:
        original, _, _ = _masked(src, field.on(src.crs))
    stored, _ = as_it_is.read("red")
    np.testing.assert_array_equal(stored, np.where(original == 0, 0, original + 1000))
    np.testing.assert_array_equal(made.read("red")[0], original)
    for one, offset in ((as_it_is, -0.1), (made, 0.0)):
        asset = one.item.assets["red"]
        assert asset.extra_fields["raster:offset"] == pytest.approx(offset)
        with rasterio.open(asset.href) as clip:
            assert clip.scales == pytest.approx((0.0001,)) and clip.offsets == pytest.approx((offset,))


def test_pixels_that_deny_the_items_flag_win_and_the_item_says_why(
    bench: Bench, field_of: Callable[..., Field]
) -> None:
    item = bench.items("20230813")[0]
    shifted = _with_offset(item, bench.folder / "flag wrong")
    shifted.properties["earthsearch:boa_offset_applied"] = True  # its pixels say otherwise
    wishes = Processing(indices=(Index(name="ndvi", formula="(nir - red) / (nir + red)"),))
    right, wrong = (field_of(0, geometry=_square(15.5, 46.2), processing=wishes) for _ in range(2))

    (expected,) = bench.cut("", [right], items=[item])
    (made,) = bench.cut("", [wrong], items=[shifted])

    red = made.item.assets["red"].extra_fields
    assert red["raster:offset"] == pytest.approx(-0.1)
    assert "the pixels say otherwise" in red["imagery:radiometry"] and "dark pixels" in red["imagery:radiometry"]
    np.testing.assert_allclose(made.read("ndvi")[0], expected.read("ndvi")[0], atol=1)


def test_an_index_is_what_numpy_makes_of_the_reflectance(bench: Bench, field_of: Callable[..., Field]) -> None:
    ndvi = Index(name="ndvi", formula="(nir - red) / (nir + red)")
    field = field_of(0, geometry=_square(15.5, 46.2), assets=(), processing=Processing(indices=(ndvi,)))

    (made,) = bench.cut("20230813", [field])

    bands = {}
    for key in ("red", "nir"):
        with rasterio.open(bench.path(made.sources[0], key)) as src:
            bands[key] = _masked(src, field.on(src.crs))[0][0]
    shown = (bands["red"] != 0) & (bands["nir"] != 0)
    assert sorted(made.item.assets) == ["ndvi", "thumbnail"]
    np.testing.assert_array_equal(made.read("ndvi")[0][0], _ndvi(bands["red"], bands["nir"], shown))
    with rasterio.open(made.item.assets["ndvi"].href) as clip:
        assert (clip.scales, clip.offsets, clip.nodata) == ((0.0001,), (0.0,), -32768)


def test_on_a_common_grid_all_assets_are_what_gdal_warps_them_to(bench: Bench, field_of: Callable[..., Field]) -> None:
    processing = Processing(resolution_m=40.0, resampling=Resampling.BILINEAR)
    field = field_of(0, geometry=_square(15.5, 46.2), processing=processing)

    (made,) = bench.cut("20230813", [field])

    grids = set()
    for key, kernel in (("red", Kernel.bilinear), ("scl", Kernel.nearest)):
        found, at = made.read(key)
        grids.add((tuple(at), found.shape[1:]))
        with rasterio.open(bench.path(made.sources[0], key)) as src:
            places = {"transform": at, "width": found.shape[2], "height": found.shape[1]}
            with WarpedVRT(src, crs=src.crs, resampling=kernel, src_nodata=0, nodata=0, **places) as warped:
                whole = warped.read()
            inside = geometry_mask([field.on(src.crs)], found.shape[1:], at, invert=True)
        np.testing.assert_array_equal(found, np.where(inside, whole, 0), err_msg=key)
        assert (at.a, at.e) == (40.0, -40.0)
    assert len(grids) == 1


def test_one_file_holds_the_bands_in_the_order_asked_for(bench: Bench, field_of: Callable[..., Field]) -> None:
    assets = ("nir", "red", "scl", "green")
    square = _square(15.5, 46.2)
    together = field_of(0, geometry=square, assets=assets, processing=Processing(single_file=True))

    apart, made = bench.cut("20230813", [field_of(0, geometry=square, assets=assets), together])

    assert list(made.item.assets) == ["scl", "bands", "thumbnail"]
    stack, _ = made.read("bands")
    for band, key in zip(stack, ("nir", "red", "green"), strict=True):
        np.testing.assert_array_equal(band, apart.read(key)[0][0], err_msg=key)
    said = made.item.assets["bands"].extra_fields
    assert [band["name"] for band in said["bands"]] == ["nir", "red", "green"]
    assert (said["raster:scale"], said["raster:offset"]) == (0.0001, 0.0)
    with rasterio.open(made.item.assets["bands"].href) as clip:
        assert clip.descriptions == ("nir", "red", "green")
        assert clip.scales == (0.0001,) * 3


def _square(west: float, south: float, size: float = 0.03) -> dict[str, Any]:
    """In degrees."""
    east, north = west + size, south + size
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _inside(src: Any, geometry: dict[str, Any], window: Any) -> tuple[Pixels, bool]:
    """(pixels whose centre is in it, else those it touches; whether it is the latter)."""
    transform = rasterio.windows.transform(window, src.transform)
    shape = (int(window.height), int(window.width))
    inside = geometry_mask([geometry], shape, transform, invert=True)
    if inside.any():
        return inside, False
    return geometry_mask([geometry], shape, transform, invert=True, all_touched=True), True


def _counts(classes: Pixels, src: Any, geometry: dict[str, Any]) -> dict[str, float]:
    """Fractions of the pixels of an AOI that lies on the raster."""
    window = geometry_window(src, [geometry], boundless=True)
    inside, _ = _inside(src, geometry, window)
    canvas = np.zeros(inside.shape, classes.dtype)
    rows, columns = (
        range(int(off), int(off + size))
        for off, size in (
            (window.row_off, window.height),
            (window.col_off, window.width),
        )
    )
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if 0 <= row < src.height and 0 <= column < src.width:
                canvas[i, j] = classes[row, column]
    values = canvas[inside]
    known = {
        "clear": np.isin(values, CLEAR),
        "water": values == 6,
        "cloud": np.isin(values, CLOUD),
        "shadow": values == 3,
        "snow": values == 11,
        "unknown": (values == 1) | (values >= 12),
        "nodata": values == 0,
    }
    return {name: float(found.mean()) for name, found in known.items()}


def _masked(src: Any, geometry: dict[str, Any]) -> tuple[Pixels, Any, bool]:
    """(data, transform, whether the field holds no pixel's centre)."""
    expected, transform = mask(src, [geometry], crop=True, nodata=0)
    if expected.any():
        return expected, transform, False
    _, touched = _inside(src, geometry, geometry_window(src, [geometry]))
    expected, transform = mask(src, [geometry], crop=True, nodata=0, all_touched=touched)
    return expected, transform, touched


def _merged(paths: Sequence[Path], field: Field) -> tuple[Pixels, Any]:
    """On the first one's grid, masked to the field."""
    with rasterio.open(paths[0]) as first:
        geometry = field.on(first.crs)
        window = geometry_window(first, [geometry], boundless=True)
        transform = rasterio.windows.transform(window, first.transform)
        bounds = rasterio.transform.array_bounds(int(window.height), int(window.width), transform)
        data, at = merge([str(path) for path in paths], bounds=bounds, res=first.res, nodata=0)
    outside = geometry_mask([geometry], data.shape[1:], at)
    return np.where(outside, 0, data).astype(data.dtype), at


def _ndvi(red: Pixels, nir: Pixels, shown: Pixels) -> Pixels:
    """As stored: x 10 000, -32768 where nothing is shown. The numbers have scale 0.0001 and no offset."""
    red, nir = red * 0.0001, nir * 0.0001
    with np.errstate(invalid="ignore", divide="ignore"):
        index = np.rint((nir - red) / (nir + red) * 10_000)
    return np.where(shown, index, -32768).astype(np.int16)


def _with_offset(item: pystac.Item, folder: Path) -> pystac.Item:
    """The same acquisition as before Earth Search took the offset off."""
    folder.mkdir()
    other = item.clone()
    other.id = item.id.replace("_0_", "_7_")
    other.properties["earthsearch:boa_offset_applied"] = False
    for key, asset in other.assets.items():
        if key == "scl":
            continue
        path = folder / f"{key}.tif"
        with rasterio.open(asset.href) as src:
            data, profile = src.read(), src.profile
        with rasterio.open(path, "w", **profile) as out:
            out.write(np.where(data == 0, 0, data + 1000).astype(data.dtype))
        asset.href = str(path)
    return other
