"""Areas as people send them: taken, mended and said so, or refused with the place named."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import shape

from imagery.errors import AoiInvalid
from imagery.model.aoi import Aoi, parse_aoi

SQUARE = [[15.0, 46.0], [15.01, 46.0], [15.01, 46.01], [15.0, 46.01], [15.0, 46.0]]
HOLE = [[15.004, 46.004], [15.004, 46.006], [15.006, 46.006], [15.006, 46.004], [15.004, 46.004]]


def parse(value: object, *, max_vertices: int = 10_000, max_area_km2: float = 1e9) -> tuple[Aoi, tuple[str, ...]]:
    return parse_aoi(value, max_vertices=max_vertices, max_area_km2=max_area_km2)


def refusal(value: object, **limits: Any) -> AoiInvalid:
    with pytest.raises(AoiInvalid) as caught:
        parse(value, **limits)
    assert caught.value.field is not None and caught.value.field.startswith("/aoi")
    return caught.value


def polygon(*rings: list[list[Any]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def multipolygon(*polygons: list[list[list[Any]]]) -> dict[str, Any]:
    return {"type": "MultiPolygon", "coordinates": list(polygons)}


def feature(geometry: object) -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": geometry}


def test_a_good_polygon_is_kept_as_given_without_remarks() -> None:
    aoi, remarks = parse(polygon(SQUARE, HOLE))
    assert aoi.geometry == polygon(SQUARE, HOLE)
    assert aoi.bbox == (15.0, 46.0, 15.01, 46.01)
    assert remarks == ()


def test_coordinates_are_not_rounded() -> None:
    long = [[15.123456789012345, 46.0], [15.2, 46.000000000000014], [15.2, 46.1], [15.123456789012345, 46.0]]
    aoi, _ = parse(polygon(long))
    assert aoi.geometry["coordinates"] == [long]


@pytest.mark.parametrize(
    "wrap",
    [
        feature,
        lambda geometry: {"type": "FeatureCollection", "features": [feature(geometry)]},
    ],
)
def test_a_feature_and_a_collection_of_one_are_taken_for_their_geometry(wrap: Any) -> None:
    aoi, remarks = parse(wrap(polygon(SQUARE)))
    assert aoi.geometry == polygon(SQUARE)
    assert remarks == ()


def test_a_collection_of_several_features_is_refused() -> None:
    error = refusal({"type": "FeatureCollection", "features": [feature(polygon(SQUARE))] * 2})
    assert "2 features" in str(error)
    assert error.field == "/aoi/features"


def test_a_multipolygon_stays_one() -> None:
    far = [[x + 1, y] for x, y in SQUARE]
    aoi, remarks = parse(multipolygon([SQUARE, HOLE], [far]))
    assert aoi.geometry == multipolygon([SQUARE, HOLE], [far])
    assert remarks == ()
    assert parse(multipolygon([SQUARE]))[0].geometry == multipolygon([SQUARE])


def test_winding_is_fixed_and_said_so() -> None:
    aoi, remarks = parse(polygon(SQUARE[::-1], HOLE[::-1]))
    assert remarks == ("exterior ring was clockwise; reversed", "hole 1 was counterclockwise; reversed")
    assert aoi.geometry == polygon(SQUARE, HOLE)


def test_heights_are_dropped_and_said_so_once() -> None:
    aoi, remarks = parse(polygon([[*place, 300.5] for place in SQUARE], [[*place, 1, 2] for place in HOLE]))
    assert aoi.geometry == polygon(SQUARE, HOLE)
    assert remarks == ("Z dropped",)


def test_an_open_ring_is_closed_and_said_so() -> None:
    aoi, remarks = parse(polygon(SQUARE[:-1]))
    assert aoi.geometry == polygon(SQUARE)
    assert remarks == ("exterior ring was not closed; closed",)


def test_repeated_vertices_are_removed_and_said_so() -> None:
    aoi, remarks = parse(polygon([SQUARE[0], SQUARE[0], SQUARE[1], SQUARE[1], *SQUARE[2:]]))
    assert aoi.geometry == polygon(SQUARE)
    assert remarks == ("exterior ring: 2 duplicate vertices removed",)


def test_neighbours_that_share_an_edge_are_merged_and_said_so() -> None:
    beside = [[round(x + 0.01, 2), y] for x, y in SQUARE]
    aoi, remarks = parse(multipolygon([SQUARE], [beside]))
    assert remarks == ("polygons overlap or share an edge; 2 merged into 1",)
    assert shape(aoi.geometry).is_valid
    assert aoi.area_km2 == pytest.approx(2 * parse(polygon(SQUARE))[0].area_km2, rel=1e-9)


def test_many_overlapping_polygons_are_refused_quickly_with_a_place() -> None:
    step = 1e-4
    upright = [[[[i * step, 0], [(i + 0.5) * step, 0], [(i + 0.5) * step, 1], [i * step, 0]]] for i in range(1200)]
    lying = [[[[y, x] for x, y in ring[::-1]] for ring in rings] for rings in upright]
    error = refusal(multipolygon(*upright, *lying))
    assert "overlap" in str(error) and "latitude" in str(error)


def test_a_self_intersection_is_refused_with_its_place() -> None:
    error = refusal(feature(polygon([[15, 46], [15.2, 46.2], [15.2, 46], [15, 46.2], [15, 46]])))
    assert "self-intersection" in str(error)
    assert "longitude 15.1, latitude 46.1" in str(error)
    assert error.field == "/aoi/geometry/coordinates/0"


def test_a_self_intersection_beyond_the_antimeridian_is_named_within_180() -> None:
    error = refusal(polygon([[179, 10], [-179, 12], [-179, 10], [179, 12], [179, 10]]))
    assert "longitude 180, latitude 11" in str(error)
    error = refusal(polygon([[179, 10], [-177, 12], [-177, 10], [179, 12], [179, 10]]))
    assert "longitude -179, latitude 11" in str(error)


def test_a_hole_outside_is_refused_by_its_number() -> None:
    error = refusal(polygon(SQUARE, HOLE, [[x + 1, y] for x, y in HOLE]))
    assert "hole 2" in str(error) and "outside" in str(error)
    assert error.field == "/aoi/coordinates/2"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ([math.nan, 46], "/aoi/coordinates/0/1/0"),
        ([15, math.inf], "/aoi/coordinates/0/1/1"),
        ([True, 46], "/aoi/coordinates/0/1/0"),
        (["15", 46], "/aoi/coordinates/0/1/0"),
        ([None, 46], "/aoi/coordinates/0/1/0"),
        ([10**400, 46], "/aoi/coordinates/0/1/0"),
        ([15], "/aoi/coordinates/0/1"),
        ([], "/aoi/coordinates/0/1"),
        ("15,46", "/aoi/coordinates/0/1"),
        (15, "/aoi/coordinates/0/1"),
        ({}, "/aoi/coordinates/0/1"),
        ([[15, 46]], "/aoi/coordinates/0/1"),
        ([15, 90.5], "/aoi/coordinates/0/1/1"),
        ([361, 46], "/aoi/coordinates/0/1/0"),
    ],
)
def test_a_position_that_is_none_is_refused_by_its_place(bad: object, field: str) -> None:
    error = refusal(polygon([SQUARE[0], bad, *SQUARE[2:]]))  # type: ignore[list-item]
    assert error.field == field
    assert "exterior ring" in str(error)


def test_swapped_latitude_and_longitude_are_suspected() -> None:
    error = refusal(polygon([[46, 100], [46, 101], [47, 101], [46, 100]]))
    assert "swapped" in str(error)


def test_projected_metres_are_suspected() -> None:
    error = refusal(polygon([[500000, 5100000], [500100, 5100000], [500100, 5100100], [500000, 5100000]]))
    assert "EPSG:4326" in str(error)


def test_an_area_wholly_past_180_is_refused_with_what_to_write() -> None:
    error = refusal(polygon([[200, 10], [201, 10], [201, 11], [200, 10]]))
    assert "-160" in str(error)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "POLYGON((0 0,1 0,1 1,0 0))",
        5,
        {},
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": None},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": {"0": 1}},
        {"type": "Polygon", "coordinates": [SQUARE[:3]]},
        {"type": "Polygon", "coordinates": [[SQUARE[0]] * 5]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]},
        {"type": "Polygon", "coordinates": [SQUARE, []]},
        {"type": "MultiPolygon", "coordinates": []},
        {"type": "MultiPolygon", "coordinates": [[]]},
        {"type": "MultiPolygon", "coordinates": [SQUARE]},
        {"type": "Polygon", "coordinates": [[SQUARE]]},
        {"type": "Point", "coordinates": [0, 0]},
        {"type": "GeometryCollection", "geometries": [polygon(SQUARE)]},
        {"type": ["Polygon"], "coordinates": [SQUARE]},
        {"type": "Feature", "geometry": None},
        {"type": "FeatureCollection", "features": [polygon(SQUARE)]},
        {"type": "FeatureCollection", "features": [None]},
        {"type": "Feature", "geometry": feature(polygon(SQUARE))},
    ],
)
def test_what_is_no_area_is_refused(value: object) -> None:
    refusal(value)


def test_another_reference_system_is_refused_and_wgs84_by_its_names_is_not() -> None:
    def with_crs(name: object) -> dict[str, Any]:
        return {**feature(polygon(SQUARE)), "crs": {"type": "name", "properties": {"name": name}}}

    error = refusal(with_crs("urn:ogc:def:crs:EPSG::32633"))
    assert "32633" in str(error) and error.field == "/aoi/crs"
    refusal({**polygon(SQUARE), "crs": "EPSG:3857"})
    refusal(with_crs(["EPSG:4326"]))
    parse(with_crs("urn:ogc:def:crs:OGC:1.3:CRS84"))
    parse({**polygon(SQUARE), "crs": None})


def test_vertices_are_limited_before_anything_is_built() -> None:
    assert parse(polygon(SQUARE, HOLE), max_vertices=10)
    error = refusal(polygon(SQUARE, HOLE), max_vertices=9)
    assert "9 vertices" in str(error)
    # Nonsense past the limit is never looked at.
    refusal(polygon([["nonsense"]] * 1_000_000), max_vertices=100)  # type: ignore[list-item]
    refusal(multipolygon(*[[[[0]]]] * 1_000_000), max_vertices=100)


def test_the_area_is_limited() -> None:
    error = refusal(polygon([[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]), max_area_km2=10_000)
    assert "49," in str(error) and "10,000" in str(error)


def test_remarks_are_no_more_than_a_person_reads() -> None:
    many = [[[[x + step, y] for x, y in SQUARE[::-1]]] for step in range(100)]
    _, remarks = parse(multipolygon(*many))
    assert len(remarks) == 21
    assert remarks[-1] == "and 80 more like these"


@pytest.mark.parametrize("shifted", [0, 360])
def test_a_crossing_of_the_antimeridian_is_split_in_two_and_said_so(shifted: int) -> None:
    east = [-179.123456789 + shifted, 10.0], [-179.123456789 + shifted, 11.0]
    aoi, remarks = parse(polygon([[179.5, 10.0], *east, [179.5, 11.0], [179.5, 10.0]]))
    assert remarks == ("exterior ring crosses the antimeridian; split in two",)
    assert aoi.geometry["type"] == "MultiPolygon"
    assert aoi.bbox == pytest.approx((179.5, 10, -179.123456789, 11), abs=1e-12)
    parts = shape(aoi.geometry).geoms
    assert [part.bounds[::2] for part in parts] == [(179.5, 180.0), (pytest.approx(-180), aoi.bbox[2])]
    if not shifted:
        assert aoi.bbox[2] == -179.123456789


def test_a_hole_across_the_antimeridian_is_split_with_its_field() -> None:
    shell = [[179, 10], [-179, 10], [-179, 12], [179, 12], [179, 10]]
    for hole_east in (-179.5, 180.5):
        hole = [[179.5, 10.5], [179.5, 11.5], [hole_east, 11.5], [hole_east, 10.5], [179.5, 10.5]]
        aoi, _ = parse(polygon(shell, hole))
        assert shape(aoi.geometry).area == pytest.approx(3)
        assert shape(aoi.geometry).is_valid
    beyond = [[-179.8, 10.5], [-179.8, 11.5], [-179.2, 11.5], [-179.2, 10.5], [-179.8, 10.5]]
    assert shape(parse(polygon(shell, beyond))[0].geometry).area == pytest.approx(4 - 0.6)


def test_what_is_split_already_is_left_alone_and_its_box_crosses() -> None:
    given = multipolygon(
        [[[179.0, 10.0], [180.0, 10.0], [180.0, 11.0], [179.0, 11.0], [179.0, 10.0]]],
        [[[-180.0, 10.0], [-178.0, 10.0], [-178.0, 11.0], [-180.0, 11.0], [-180.0, 10.0]]],
    )
    aoi, remarks = parse(given)
    assert aoi.geometry == given
    assert remarks == ()
    assert aoi.bbox == (179, 10, -178, 11)


def test_a_ring_around_a_pole_or_the_globe_is_refused() -> None:
    assert "pole" in str(refusal(polygon([[0, 80], [90, 80], [180, 80], [-90, 80], [0, 80]])))
    assert "globe" in str(refusal(polygon([[-180, 40], [180, 40], [180, 50], [-180, 50], [-180, 40]])))


def test_any_input_is_parsed_or_refused_and_never_breaks() -> None:
    rng = random.Random(7)
    scraps: list[Any] = [None, True, 0, 1e308, -1.5, "x", [], {}, [0, 0], [[0, 0]], SQUARE, [SQUARE], polygon(SQUARE)]
    for _ in range(2000):
        value = json.loads(json.dumps(feature(polygon(SQUARE, HOLE))))
        node: Any = value
        while isinstance(node, dict | list) and node:
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if rng.random() < 0.3:
                node[key] = rng.choice(scraps)
                break
            node = node[key]
        try:
            aoi, _ = parse(value)
        except AoiInvalid as error:
            assert str(error) and (error.field or "").startswith("/aoi")
        else:
            assert shape(aoi.geometry).is_valid
            assert aoi.area_km2 > 0


def nasty(shared_data: Path, folder: str) -> list[tuple[str, dict[str, Any]]]:
    paths = sorted((shared_data / "fields/nasty" / folder).glob("*json"))
    return [(path.stem, json.loads(path.read_text())) for path in paths]


def test_valid_files_that_hold_one_area_are_taken(shared_data: Path) -> None:
    taken = {
        "valid_feature_null_properties",
        "valid_featurecollection",
        "valid_geometry_bbox",
        "valid_geometry_multipolygon",
        "valid_geometry_polygon",
    }
    for name, value in nasty(shared_data, "valid"):
        if name in taken:
            _, remarks = parse(value)
            assert remarks == (), name
        else:
            refusal(value)


def test_files_of_wrong_structure_are_refused(shared_data: Path) -> None:
    for name, value in nasty(shared_data, "invalid_structure"):
        if name != "invalid_feature_no_properties":
            refusal(value)
        else:
            parse(value)


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("invalid_geometries/invalid_exterior_not_ccw", "exterior ring was clockwise; reversed"),
        ("invalid_geometries/invalid_interior_not_cw", "hole 1 was counterclockwise; reversed"),
        ("invalid_geometries/invalid_unclosed", "exterior ring was not closed; closed"),
        ("problematic_geometries/problematic_3d_coordinates", "Z dropped"),
        (
            "problematic_geometries/problematic_crosses_antimeridian",
            "exterior ring crosses the antimeridian; split in two",
        ),
        ("problematic_geometries/problematic_duplicate_nodes", "exterior ring: 1 duplicate vertices removed"),
        ("problematic_geometries/problematic_excessive_coordinate_precision", None),
        ("problematic_geometries/problematic_excessive_vertices", None),
        ("problematic_geometries/problematic_holes", None),
        ("problematic_geometries/problematic_multitype_geometry_with_just_one_geometry", None),
        ("problematic_geometries/problematic_wrong_bbox_coordinate_order", None),
    ],
)
def test_files_with_harmless_faults_are_mended(shared_data: Path, name: str, remark: str | None) -> None:
    aoi, remarks = parse(json.loads((shared_data / "fields/nasty" / f"{name}.geojson").read_text()))
    assert remarks == (() if remark is None else (remark,))
    assert shape(aoi.geometry).is_valid


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("invalid_geometries/invalid_incorrect_geometry_data_type", "LineString"),
        ("invalid_geometries/invalid_less_three_unique_nodes", "3 positions"),
        ("problematic_geometries/problematic_self_intersection_small", "longitude 13.3795"),
        ("problematic_geometries/problematic_zero_length_linestring", "LineString"),
    ],
)
def test_files_with_faults_that_need_a_person_are_refused(shared_data: Path, name: str, said: str) -> None:
    error = refusal(json.loads((shared_data / "fields/nasty" / f"{name}.geojson").read_text()))
    assert said in str(error)


POLES = {"both-poles", "extra-crossing", "force-north-pole", "issues-124", "issues-164", "issues-171", "latitude-band"}
POLES |= {"north-pole", "south-pole", "overlap"}


def test_antimeridian_files_come_out_as_the_antimeridian_package_expects(shared_data: Path) -> None:
    compared = 0
    for name, value in nasty(shared_data, "antimeridian/input"):
        expected = shared_data / "fields/nasty/antimeridian/output/flat" / f"{name}.json"
        if "line" in name or name in POLES or not expected.exists():
            continue
        aoi, _ = parse(value)
        theirs = shape(json.loads(expected.read_text()))
        # They round where an edge crosses to seven decimals.
        assert shape(aoi.geometry).symmetric_difference(theirs).area < 1e-4, name
        compared += 1
    assert compared >= 14


def test_antimeridian_files_around_a_pole_are_refused_or_too_large(shared_data: Path) -> None:
    for name, value in nasty(shared_data, "antimeridian/input"):
        if name in POLES:
            refusal(value, max_area_km2=10_000)
    for _, value in nasty(shared_data, "antimeridian/stac_s3_slstr"):
        refusal(value, max_area_km2=10_000)


def test_messy_real_files_are_taken_or_refused_with_the_reason(shared_data: Path) -> None:
    folder = shared_data / "fields/messy_real"
    county = json.loads((folder / "warren_county_many_vertices.geojson").read_text())
    assert "vertices" in str(refusal(county, max_vertices=1500))
    aoi, _ = parse(county, max_vertices=100_000)
    assert aoi.area_km2 == pytest.approx(1602, rel=0.001)
    crops = json.loads((folder / "azerbaijan_crops_103.geojson").read_text())
    assert "32638" in str(refusal(crops))
    assert "EPSG:4326" in str(refusal(crops["features"][0]))


def test_every_real_parcel_is_taken_with_the_same_outline(shared_data: Path) -> None:
    parcels = json.loads((shared_data / "fields/parcels_slovenia_over_33TWM_33TWL.geojson").read_text())
    for parcel in parcels["features"]:
        aoi, _ = parse(parcel)
        assert shape(aoi.geometry).equals(shape(parcel["geometry"]))
        assert aoi.bbox == shape(parcel["geometry"]).bounds
