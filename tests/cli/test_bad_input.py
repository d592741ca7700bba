"""The command line and input that cannot be used: one clear line, exit code 2, nothing written, no old output harmed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
import torch
from click.testing import Result
from shapely.geometry import LineString, Point

from tests.cli_site import BOX, TRANSFORM, UTM, Site
from tests.conftest import WriteRaster, px_boxes

# ---------------------------------------------------------------- the scene


@pytest.mark.parametrize("place", [0, 1])
def test_no_such_file(site: Site, place: int) -> None:
    arguments = ["scene.tif", "boxes.gpkg"]
    arguments[place] = f"missing{Path(arguments[place]).suffix}"
    site.refuse(*arguments, words=(arguments[place],))


@pytest.mark.parametrize("content", [b"", b"plain text\n", b"II*\0"])
def test_scene_is_not_a_raster(site: Site, content: bytes) -> None:
    (site.folder / "no.tif").write_bytes(content)
    site.refuse("no.tif", "boxes.gpkg", words=("no.tif",))


def test_scene_is_a_vector_file_or_a_folder(site: Site) -> None:
    site.refuse("boxes.gpkg", "boxes.gpkg", words=("boxes.gpkg",))
    (site.folder / "empty").mkdir()
    site.refuse("empty", "boxes.gpkg", words=("empty",))


@pytest.mark.parametrize("profile", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}])
def test_truncated_tiff(site: Site, write_raster: WriteRaster, profile: dict[str, object]) -> None:
    whole = write_raster("whole.tif", **profile).read_bytes()
    (site.folder / "cut.tif").write_bytes(whole[: len(whole) // 3])
    site.boxes([BOX, (120, 80, 150, 110)])
    site.refuse("cut.tif", "boxes.gpkg", words=("cut.tif",))


def test_truncated_tiff_whose_values_are_stretched(site: Site, write_raster: WriteRaster) -> None:
    whole = write_raster("whole.tif", np.ones((3, 120, 160), "uint16")).read_bytes()
    (site.folder / "cut.tif").write_bytes(whole[: len(whole) // 3])
    site.refuse("cut.tif", "boxes.gpkg", words=("cut.tif",))


def test_complex_raster(site: Site, write_raster: WriteRaster) -> None:
    write_raster("radar.tif", np.ones((1, 120, 160), "complex64"))
    site.refuse("radar.tif", "boxes.gpkg", words=("radar.tif", "complex"))


@pytest.mark.parametrize("bands", ["4", "4,3,2", "0", "-1", "1,2", "1,2,3,1", "a,b,c", "1.5", "", ","])
def test_bad_bands(site: Site, write_raster: WriteRaster, bands: str) -> None:
    write_raster("grey.tif", np.ones((1, 120, 160), "uint8"))
    site.refuse("grey.tif", "boxes.gpkg", f"--bands={bands}", words=("band",))


def test_one_band_asked_for_band_4_says_how_many_there_are(site: Site, write_raster: WriteRaster) -> None:
    write_raster("grey.tif", np.ones((1, 120, 160), "uint8"))
    site.refuse("grey.tif", "boxes.gpkg", "--bands", "4", words=("grey.tif", "4", "1"))


@pytest.mark.parametrize(
    ("fill", "dtype", "nodata"), [(0, "uint8", 0), (0, "uint16", 0), (np.nan, "float32", np.nan), (-9999, "float32", -9999)]
)
def test_all_nodata(site: Site, write_raster: WriteRaster, fill: float, dtype: str, nodata: float) -> None:
    write_raster("void.tif", np.full((3, 120, 160), fill, dtype), nodata=nodata)
    assert site.statuses("void.tif", "boxes.gpkg") == ["nodata"]


def test_a_box_on_nodata(site: Site, write_raster: WriteRaster) -> None:
    array = np.full((3, 120, 160), 100, "uint8")
    array[:, :, 80:] = 0
    write_raster("half.tif", array, nodata=0)
    site.boxes([BOX, (100, 10, 130, 40)])
    statuses = site.statuses("half.tif", "boxes.gpkg")
    assert statuses[0] in {"ok", "empty"}
    assert statuses[1] == "nodata"


# ---------------------------------------------------------------- the boxes


def test_crs_on_the_scene_only(site: Site) -> None:
    site.boxes([BOX], crs=None)
    site.refuse("scene.tif", "boxes.gpkg", words=("boxes.gpkg", "no CRS", "--boxes-crs"))


def test_boxes_crs_for_boxes_that_have_another(site: Site) -> None:
    site.refuse("scene.tif", "boxes.gpkg", "--boxes-crs", "EPSG:4326", words=("boxes.gpkg", "EPSG:32633", "--boxes-crs"))


def test_crs_on_the_boxes_only(site: Site, write_raster: WriteRaster) -> None:
    write_raster("bare.tif", crs=None)
    site.refuse("bare.tif", "boxes.gpkg", words=("bare.tif", "no CRS"))


def test_no_boxes(site: Site) -> None:
    site.write(px_boxes([BOX], TRANSFORM, UTM).iloc[:0])
    site.refuse("scene.tif", "boxes.gpkg", words=("boxes.gpkg",))


@pytest.mark.parametrize("name", ["boxes.csv", "boxes.geojson", "boxes.parquet", "boxes.gpkg", "boxes.shp", "boxes.fgb"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n"])
def test_boxes_are_no_layer(site: Site, name: str, content: bytes) -> None:
    (site.folder / name).write_bytes(content)
    site.refuse("scene.tif", name, words=(name,))


def test_boxes_are_the_raster(site: Site) -> None:
    site.refuse("scene.tif", "scene.tif", words=("scene.tif",))


def test_unknown_layer_names_those_there_are(site: Site) -> None:
    site.refuse("scene.tif", "boxes.gpkg", "--layer", "shps", words=("shps", "boxes"))


def test_two_layers_and_no_layer_option(site: Site) -> None:
    frame = px_boxes([BOX], TRANSFORM, UTM)
    site.write(frame, "two.gpkg", layer="ships")
    site.write(frame, "two.gpkg", layer="planes")
    site.refuse("scene.tif", "two.gpkg", words=("ships", "planes", "--layer"))
    assert len(site.statuses("scene.tif", "two.gpkg", "--layer", "planes")) == 1


def test_a_table_without_geometry_is_no_second_layer(site: Site) -> None:
    pyogrio.write_dataframe(gpd.pd.DataFrame({"styleName": ["x"]}), site.folder / "boxes.gpkg", layer="layer_styles")
    assert len(site.statuses("scene.tif", "boxes.gpkg")) == 1


@pytest.mark.parametrize("geometry", [Point(500_010, 3_999_990), LineString([(500_010, 3_999_990), (500_020, 3_999_980)])])
def test_points_and_lines(site: Site, geometry: shapely.Geometry) -> None:
    site.write(gpd.GeoDataFrame(geometry=[geometry], crs=UTM))
    site.refuse("scene.tif", "boxes.gpkg", words=("boxes.gpkg", geometry.geom_type[:5]))


def test_geometries_that_are_no_boxes_have_a_row_each(site: Site) -> None:
    good = px_boxes([BOX], TRANSFORM, UTM).geometry[0]
    flat = shapely.Polygon([(500_010, 3_999_990), (500_020, 3_999_980), (500_010, 3_999_990)])
    infinite = shapely.Polygon([(500_010, 3_999_990), (np.inf, 3_999_990), (500_020, 3_999_980), (500_010, 3_999_990)])
    rows = [None, shapely.Polygon(), good, infinite, flat]
    site.write(gpd.GeoDataFrame({"row": range(5)}, geometry=rows, crs=UTM), "odd.parquet")
    statuses = site.statuses("scene.tif", "odd.parquet")
    assert statuses.pop(2) in {"ok", "empty"}
    assert statuses == ["invalid"] * 4
    assert list(gpd.read_file("ok.gpkg", layer="masks")["row"]) == list(range(5))


def test_nothing_but_null_geometries(site: Site) -> None:
    site.write(gpd.GeoDataFrame({"a": [1, 2]}, geometry=[None, None], crs=UTM), "null.parquet")
    assert site.statuses("scene.tif", "null.parquet") == ["invalid", "invalid"]


def test_latitudes_off_the_globe(site: Site) -> None:
    site.write(gpd.GeoDataFrame(geometry=[shapely.box(15, 95, 16, 96)], crs=4326))
    assert site.statuses("scene.tif", "boxes.gpkg")[0] in {"invalid", "outside"}


def test_all_boxes_outside_warns_with_both_extents(site: Site) -> None:
    site.write(gpd.GeoDataFrame({"a": [1, 2]}, geometry=[shapely.box(7, 50, 7.1, 50.1), shapely.box(8, 51, 8.1, 51.1)], crs=4326))
    result = site.run("scene.tif", "boxes.gpkg", "--quiet")
    assert result.exit_code == 0
    assert list(gpd.read_file("scene_masks.gpkg", layer="masks").rosgeo_status) == ["outside", "outside"]
    assert len(result.stderr.strip().splitlines()) == 1
    for word in (
        "scene.tif",
        "WGS 84 / UTM zone 33N",
        "500000 to 500080",
        "3999940 to 4000000",
        "boxes.gpkg",
        "WGS 84)",
        "50 to 51.1",
    ):
        assert word in result.stderr


def test_one_of_two_boxes_outside_does_not_warn(site: Site) -> None:
    site.boxes([BOX, (500, 500, 520, 530)])
    result = site.run("scene.tif", "boxes.gpkg", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize("box", [(-10, -10, 20, 30), (150, 100, 170, 130), (-500, -500, 900, 900), (0.1, 0.1, 0.2, 0.2)])
def test_boxes_over_the_edge_and_of_odd_sizes(site: Site, box: tuple[float, float, float, float]) -> None:
    site.boxes([box])
    assert site.statuses("scene.tif", "boxes.gpkg")[0] in {"ok", "empty"}
    for shape in gpd.read_file("ok.gpkg", layer="masks").geometry.dropna():
        assert shapely.box(500_000, 3_999_940, 500_080, 4_000_000).buffer(1e-6).contains(shape)


@pytest.mark.parametrize("column", ["rosgeo_id", "rosgeo_status", "rosgeo_area_m2", "ROSGEO_Score"])
def test_columns_that_clash_with_ours(site: Site, column: str) -> None:
    site.write(px_boxes([BOX], TRANSFORM, UTM, **{column: ["x"]}))
    site.refuse("scene.tif", "boxes.gpkg", words=(column, "boxes.gpkg"))


# ---------------------------------------------------------------- the options


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--stretch", "gamma"), ("--stretch", "percentile:98,2"), ("--stretch", "percentile:2"), ("--stretch", "percentile:-5,101"),
        ("--stretch", "range:5,5"), ("--stretch", "range:a,b"), ("--stretch", "range:nan,9"), ("--stretch", "range:0,inf"),
        ("--model", "rosgeo-huge"), ("--model", "missing.safetensors"), ("--model", "scene.tif"),
        ("--device", "tpu"), ("--device", "cuda:x"), ("--device", "meta"), ("--precision", "int4"), ("--batch-size", "0"),
        ("--crs", "EPSG:999999"), ("--crs", "mercator, please"), ("--crs", ""),
        ("--crs", "EPSG:5773"), ("--crs", "EPSG:4978"), ("--crs", "+proj=ortho +lat_0=-40 +lon_0=-160"),
        ("--boxes-crs", "EPSG:999999"), ("--boxes-crs", "pixels"), ("--boxes-crs", ""),
        ("--where", "no_such_column = 1"), ("--where", "name ="), ("--where", "name = 'nobody'"),
        ("--crop", "huge"), ("--crop-factor", "0"), ("--crop-factor", "-2"), ("--crop-factor", "nan"), ("--crop-factor", "inf"),
        ("--crop-factor", "wide"), ("--outline", "round"), ("--parts", "two"), ("--min-area", "-1"), ("--min-area", "nan"),
        ("--simplify", "-1"), ("--simplify", "nan"), ("--overwrites", "x"), ("--layr", "boxes"),
    ],
)  # fmt: skip
def test_bad_options(site: Site, option: str, value: str) -> None:
    if option == "--boxes-crs":
        site.boxes([BOX], crs=None, name=["a"])
    message = site.refuse("scene.tif", "boxes.gpkg", f"{option}={value}")
    assert option.split("-")[-1] in message.lower() or value in message


def test_crs_of_the_result_of_a_scene_that_has_none(site: Site, write_raster: WriteRaster) -> None:
    write_raster("bare.tif", crs=None, transform=None)
    site.write(gpd.GeoDataFrame(geometry=[shapely.box(*BOX)], crs=None))
    site.refuse("bare.tif", "boxes.gpkg", "--crs", "EPSG:4326", words=("bare.tif", "no CRS"))


def test_choices_are_named(site: Site) -> None:
    site.refuse("scene.tif", "boxes.gpkg", "--stretch", "gamma", words=("gamma", "percentile", "range"))
    site.refuse("scene.tif", "boxes.gpkg", "--model", "rosgeo-huge", words=("rosgeo-huge", "rosgeo-small"))
    site.refuse("scene.tif", "boxes.gpkg", "--device", "tpu", words=("tpu", "cpu", "cuda"))


def test_device_that_is_not_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    site.refuse("scene.tif", "boxes.gpkg", "--device", "cuda", words=("cuda",))
    site.refuse("scene.tif", "boxes.gpkg", "--device", "mps", words=("mps",))


def test_arguments_that_are_missing_or_too_many(site: Site) -> None:
    site.refuse("scene.tif", words=("Missing argument",))
    site.refuse("scene.tif", "boxes.gpkg", "third.gpkg", words=("boxes.gpkg is not a raster",))


@pytest.mark.parametrize(
    "arguments", [("segment", "{}", "b.gpkg", "--batch-size", "{}"), ("evaluate", "a.gpkg", "{}"), ("{}",), ("segment", "--x={}")]
)
def test_what_is_quoted_of_a_command_line_holds_no_secret(cli: Callable[..., Result], arguments: tuple[str, ...]) -> None:
    result = cli(*(a.format("https://me:SECRET@host/x.tif?sig=SECRET") for a in arguments))
    assert result.exit_code == 2
    assert "Error: " in result.output
    assert "SECRET" not in result.output


def test_standard_error_of_the_real_process(site: Site, write_raster: WriteRaster) -> None:
    """No line of GDAL's, torch's or a logger's beside ours: several commands in one process, each with its own streams."""
    write_raster("bare.tif", crs=None, transform=None)
    whole = write_raster("whole.tif").read_bytes()
    (site.folder / "cut.tif").write_bytes(whole[:9000])
    (site.folder / "no.gpkg").write_bytes(b"no")
    commands = ["bare.tif boxes.gpkg", "cut.tif boxes.gpkg", "scene.tif no.gpkg", "scene.tif boxes.gpkg --where a=1",
                "scene.tif boxes.gpkg --crs EPSG:999999", "scene.tif boxes.gpkg --layer x", "boxes.gpkg boxes.gpkg"]  # fmt: skip
    program = (
        "import sys\nfrom rosgeo.cli.main import main\nfor line in sys.stdin.read().splitlines():\n"
        "    try: main(['segment', *line.split(), '--model', sys.argv[1]], prog_name='rosgeo')\n"
        "    except SystemExit as e: print(e.code, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, site.model], input="\n".join(commands), text=True, capture_output=True)
    lines = [x for x in done.stderr.splitlines() if x.strip() and "object/s]" not in x]
    assert done.stdout.split() == ["2"] * len(commands), done.stderr
    assert [x for x in lines if not x.startswith("Error: ")] == []
    assert len(lines) == len(commands)
