"""Rasters without georeferencing (a PNG, a drone's frame): everything lies where QGIS shows the picture, x = column, y = -row."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray
import rosgeo
import shapely
from affine import Affine
from PIL import Image
from rosgeo.errors import BoxesError, CRSMismatchError, NoOverlapWarning, PixelFrameWarning
from rosgeo.geometry.boxes import points_up
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.interactive.session import Session
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.labels import read_labels
from rosgeo.outputs.mask_raster import write_mask_raster
from rosgeo.pictures.preview import draw_preview
from rosgeo.pictures.scene_picture import colour_of
from rosgeo.raster.bands import StretchRule
from rosgeo.raster.source import open_source
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.types import Crop, ObjectMask
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.polygonize import OutlineOptions

from tests.cli.test_segment import done
from tests.cli_site import Site
from tests.conftest import EllipseSegmenter, WriteRaster, px_boxes
from tests.qgis_site import in_qgis, needs_qgis

HEIGHT, WIDTH = 90, 140
SHAPES = (
    [(20, 10), (60, 10), (60, 20), (32, 20), (32, 42), (20, 42)],
    [(90, 50), (120, 50), (120, 80), (112, 80), (112, 60), (90, 60)],
)
"""Two bright pieces like an L, which no mirror leaves as they are, by column and row."""
BOXES = [(18, 8, 62, 44), (88, 48, 122, 82)]


class Bright(EllipseSegmenter):
    """Stands for a model: the object is what is bright."""

    def segment(self, crops: Iterable[Crop]) -> Iterator[ObjectMask]:
        for crop in crops:
            bright = np.where(crop.valid & (crop.image[0] > 128), 5, -5).astype(np.float32)
            yield ObjectMask(crop.id, crop.window, np.repeat(np.repeat(bright, 4, 0), 4, 1), 0.9, 0.8)


def pixels() -> np.ndarray:
    """The picture (h, w)."""
    values = np.full((HEIGHT, WIDTH), 40, dtype=np.uint8)
    values[10:20, 20:60] = values[20:42, 20:32] = values[50:60, 90:120] = values[60:80, 112:120] = 250
    return values


def down(*boxes: tuple[float, float, float, float], **more: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(more, geometry=[shapely.box(*box) for box in boxes or BOXES])


def mirrored(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return frame.set_geometry(shapely.transform(frame.geometry.to_numpy(), lambda xy: xy * (1, -1)))


def up(*boxes: tuple[float, float, float, float], **more: Any) -> gpd.GeoDataFrame:
    """As a person draws them in QGIS."""
    return mirrored(down(*boxes, **more))


PIXEL = OutlineOptions("pixel", simplify=0.0)
EXPECTED = [shapely.Polygon([(x, -y) for x, y in shape]) for shape in SHAPES]


def run(scene: Any, boxes: Any, *, output: Any = None, append: bool = False, **options: Any) -> Any:
    chosen = SegmentOptions(**{"outline": PIXEL, **options})
    return segment_run(scene, boxes, chosen, output=output, append=append, segmenter=Bright())  # type: ignore[arg-type]


def same(found: Iterable[Any], expected: Iterable[Any]) -> None:
    for outline, shape in zip(found, expected, strict=True):
        assert outline.symmetric_difference(shape).area == 0, (outline.bounds, shape.bounds)


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "frame.png"
    Image.fromarray(pixels()).convert("RGB").save(path)
    return path


# ---------------------------------------------------------------- where results lie


@pytest.mark.filterwarnings("ignore::rosgeo.errors.FormatLossWarning")
def test_every_format_holds_it_where_qgis_shows_the_picture(png: Path, tmp_path: Path) -> None:
    names = [f"out.{suffix}" for suffix in ("gpkg", "parquet", "geojson", "fgb", "shp", "json")]
    found = run(png, down(), output=[tmp_path / name for name in names])
    assert found.result.crs is None
    same(found.result.geometry, EXPECTED)
    for name in names[:-1]:
        read = gpd.read_parquet(tmp_path / name) if name.endswith("parquet") else gpd.read_file(tmp_path / name)
        same(read.geometry, EXPECTED)
    prompts = gpd.read_file(tmp_path / "out.gpkg", layer="prompts")
    same(prompts.geometry, up().geometry)
    with closing(sqlite3.connect(tmp_path / "out.gpkg")) as database:
        assert set(database.execute("SELECT srs_id FROM gpkg_geometry_columns")) == {(-1,)}
    # COCO counts rows downwards.
    coco = json.loads((tmp_path / "out.json").read_text())
    assert [a["bbox"] for a in coco["annotations"]] == [[20, 10, 40, 32], [90, 50, 30, 30]]
    ring = np.array(coco["annotations"][0]["segmentation"][0]).reshape(-1, 2)
    assert shapely.Polygon(ring).equals(shapely.Polygon(SHAPES[0]))


def test_mask_raster_and_preview(png: Path, tmp_path: Path) -> None:
    found = run(png, up())
    write_mask_raster(png, found.result, tmp_path / "mask.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(tmp_path / "mask.tif") as mask:
            np.testing.assert_array_equal(mask.read(1), pixels() > 128)
            assert mask.transform.is_identity
            assert mask.crs is None
    draw_preview(png, found, tmp_path / "preview.png", bands=None, stretch=StretchRule())
    picture = np.array(Image.open(tmp_path / "preview.png").convert("RGB")).astype(int)
    # The scene is grey along its upper edge, and what is beside it is not.
    scale = int(np.argmax(np.abs(picture[0] - 40).max(axis=1) > 8)) / WIDTH
    assert scale >= 2
    wanted = [int(colour_of(0.9)[i : i + 2], 16) for i in (1, 3, 5)]
    line = np.abs(picture[: round(HEIGHT * scale), : round(75 * scale)] - wanted).max(axis=2) < 40
    rows, cols = np.nonzero(line)
    np.testing.assert_allclose(np.array([cols.min(), rows.min(), cols.max(), rows.max()]) / scale, [20, 10, 60, 42], atol=0.6)
    assert not line[round(22 * scale) : round(40 * scale), round(36 * scale) :].any()


# ---------------------------------------------------------------- which way boxes point


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_boxes_both_ways_give_the_same(png: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    expected = run(png, down())
    assert expected.result["rosgeo_status"].tolist() == ["ok", "ok"]
    for crs in (None, "EPSG:4326"):
        for boxes in (down(), up()):
            found = run(png, boxes.set_crs(crs), boxes_crs=None if crs is None else "pixel")
            assert [g.wkb for g in found.result.geometry] == [g.wkb for g in expected.result.geometry]
            np.testing.assert_array_equal(found.boxes_px.xyxy, BOXES)
    # A layer without CRS as programs write it to a GeoPackage.
    for srs in (-1, 0, 99_999):
        path = tmp_path / f"drawn{srs}.gpkg"
        up().to_file(path, layer="drawn")
        with closing(sqlite3.connect(path)) as database:
            for table in ("gpkg_geometry_columns", "gpkg_contents"):
                database.execute(f"UPDATE {table} SET srs_id = ?", (srs,))
            database.commit()
        same(run(png, path).result.geometry, EXPECTED)
    assert not [w for w in recwarn if issubclass(w.category, PixelFrameWarning | NoOverlapWarning)]
    with pytest.raises(CRSMismatchError, match=r"frame\.png has no CRS, but the GeoDataFrame is in EPSG:4326.*--boxes-crs pixel"):
        run(png, up().set_crs(4326))


def test_a_result_is_a_layer_of_boxes(png: Path, tmp_path: Path) -> None:
    first = run(png, down(kind=["a", "b"]), output=tmp_path / "first.gpkg")
    by_prompts = run(png, tmp_path / "first.gpkg", layer="prompts", output=tmp_path / "second.gpkg")
    assert [g.wkb for g in by_prompts.result.geometry] == [g.wkb for g in first.result.geometry]
    outlines = read_boxes(tmp_path / "first.gpkg")
    by_outlines = run(png, outlines[["kind", "geometry"]])
    assert by_outlines.result["rosgeo_status"].tolist() == ["ok", "ok"]
    same(by_outlines.result.geometry, EXPECTED)


def test_a_mixed_layer_is_refused_and_no_row_is_lost_when_told(png: Path) -> None:
    boxes = gpd.GeoDataFrame(geometry=[*down().geometry, *up().geometry])
    with pytest.raises(BoxesError, match=r"the GeoDataFrame: 2 of 4 boxes have their centre at y < 0 .*--y-axis down"):
        run(png, boxes)
    assert run(png, boxes, y_axis="down").result["rosgeo_status"].tolist() == ["ok", "ok", "outside", "outside"]
    told = run(png, boxes, y_axis="up").result
    assert told["rosgeo_status"].tolist() == ["outside", "outside", "ok", "ok"]
    same(told.geometry[2:], EXPECTED)


def test_points_up() -> None:
    def of(*rows: tuple[float, float], y_axis: Any = "auto") -> bool:
        return points_up(
            np.array([None, *(shapely.box(0, low, 5, high) for low, high in rows)], dtype=object), y_axis, "boxes.gpkg"
        )

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not of()
        assert not of((0, 4), (-1, 3))
        assert of((-4, 0), (-3, 1))
        # What lies on both sides alike says nothing.
        assert of((-4, -1), (-2, 2), (0, 0))
        assert of((1, 4), (-4, -1), y_axis="up")
        assert not of((-4, -1), y_axis="down")
    with pytest.raises(BoxesError, match=r"boxes\.gpkg: 1 of 2 boxes"):
        of((1, 4), (-4, -1), (-2, 2))
    with pytest.warns(PixelFrameWarning, match=r"every box reaches over y = 0; y is taken as the row.*--y-axis up if that"):
        assert not of((-1, 3))
    with pytest.warns(PixelFrameWarning, match=r"y is taken as minus the row.*y < 0\. Pass --y-axis down"):
        assert of((-3, 1))


def test_pixels_of_a_georeferenced_raster(write_raster: WriteRaster) -> None:
    """An outline of the same picture without georeferencing finds its object on the raster with it."""
    scene = write_raster(array=pixels()[None])
    first, second = (run(scene, boxes, boxes_crs="pixel").result for boxes in (down(), up()))
    assert first.crs == "EPSG:32633"
    assert [g.wkb for g in first.geometry] == [g.wkb for g in second.geometry]
    assert first["rosgeo_status"].tolist() == ["ok", "ok"]


def test_boxes_beside_the_picture(png: Path) -> None:
    with pytest.warns(
        NoOverlapWarning, match=r"x 0 to 140, y -90 to 0 \(pixels\), the GeoDataFrame spans x 500 to 510, y -510 to -500"
    ):
        assert run(png, up((500, 500, 510, 510))).result["rosgeo_status"].tolist() == ["outside"]
    with pytest.warns(
        NoOverlapWarning, match=r"x 0 to 140, y 0 to 90 \(pixels\), the GeoDataFrame spans x 500 to 510, y 500 to 510"
    ):
        run(png, down((500, 500, 510, 510)))


def test_append_knows_boxes_either_way(png: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.gpkg"
    run(png, down(BOXES[0]), output=output)
    second = run(png, up(), output=output, append=True)
    assert second.record["added"] == 1
    same(second.result.geometry, EXPECTED)
    same(gpd.read_file(output, layer="prompts").geometry, up().geometry)
    assert run(png, mirrored(up()), output=output, append=True, y_axis="down").record["added"] == 0


# ---------------------------------------------------------------- a transform without a CRS


@pytest.fixture
def with_world_file(png: Path) -> Affine:
    png.with_suffix(".pgw").write_text("0.5\n0\n0\n-0.5\n100.25\n199.75\n")
    return Affine(0.5, 0, 100, 0, -0.5, 200)


def test_a_transform_without_crs(png: Path, with_world_file: Affine, tmp_path: Path) -> None:
    to_map = AffineMapping(with_world_file).to_map
    on_map = px_boxes(BOXES, with_world_file, None)
    expected = [shapely.transform(shapely.Polygon(s), to_map) for s in SHAPES]
    with pytest.warns(
        PixelFrameWarning, match=r"frame\.png has a transform but no CRS: the boxes are taken as pixels\. Pass --boxes-crs pixel"
    ):
        same(run(png, down(), output=tmp_path / "out.gpkg").result.geometry, expected)
    with pytest.warns(PixelFrameWarning, match="the boxes are taken as coordinates of that transform"):
        same(run(png, on_map).result.geometry, expected)
    with pytest.warns(PixelFrameWarning, match="coordinates of that transform"):
        same(run(png, tmp_path / "out.gpkg", layer="prompts").result.geometry, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for boxes in (down(), up()):
            same(run(png, boxes, boxes_crs="pixel").result.geometry, expected)


def test_a_crs_without_a_transform(png: Path, tmp_path: Path) -> None:
    """QGIS shows it upright as well, so it is neither mirrored nor read upside down."""
    with rasterio.open(
        tmp_path / "bare.tif", "w", driver="GTiff", width=WIDTH, height=HEIGHT, count=1, dtype="uint8", crs=32633
    ) as out:
        out.write(pixels(), 1)
    found = run(tmp_path / "bare.tif", up().set_crs(32633))
    same(found.result.geometry, EXPECTED)
    assert found.axes == "raster"


# ---------------------------------------------------------------- arrays


def test_arrays_and_their_parts_lie_where_the_picture_lies(png: Path) -> None:
    with rioxarray.open_rasterio(png) as whole:
        same(run(whole, up()).result.geometry, EXPECTED)
        # Pixels of a part are its own; coordinates as QGIS shows them are those of the whole.
        part = whole.isel(x=slice(80, None), y=slice(45, None))
        same(run(part, down((8, 3, 42, 37))).result.geometry, EXPECTED[1:])
        same(run(part, up(BOXES[1])).result.geometry, EXPECTED[1:])
        half = whole.isel(x=slice(None, None, 2), y=slice(None, None, 2))
        # Every second pixel, each as large as two and round the middle of the first.
        moved = [shapely.transform(shape, lambda xy: xy - (0.5, -0.5)) for shape in EXPECTED]
        same(run(half, up()).result.geometry, moved)
        same(run(half, down(*(tuple(v / 2 for v in box) for box in BOXES))).result.geometry, moved)
        plain = whole.drop_vars(["x", "y", "spatial_ref"])
        same(run(plain, down()).result.geometry, EXPECTED)


def test_an_array_with_coordinates_of_a_map_is_no_picture(write_raster: WriteRaster) -> None:
    path = write_raster(array=pixels()[None], crs=None, transform=Affine(1, 0, 100, 0, 1, 50))
    with open_source(path) as file, rioxarray.open_rasterio(path) as array, open_source(array) as source:
        assert file.georeferenced
        assert source.georeferenced
        assert source.grid.mapping == file.grid.mapping


# ---------------------------------------------------------------- labels, sessions, figures, the command line


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.filterwarnings("ignore::rosgeo.errors.LabelsWarning")
def test_labels_either_way(png: Path, tmp_path: Path) -> None:
    shapes = gpd.GeoDataFrame(geometry=[shapely.Polygon(s) for s in SHAPES])
    shapes.to_file(tmp_path / "down.gpkg")
    mirrored(shapes).to_file(tmp_path / "up.gpkg")
    run(png, down(), output=tmp_path / "result.gpkg")
    for name in ("down", "up", "result"):
        objects, left_out = read_labels(DataSource(kind="raster", raster=str(png), labels=str(tmp_path / f"{name}.gpkg")))
        assert not left_out
        same([shapely.Polygon(o.rings[0]) for o in objects], shapes.geometry)
        np.testing.assert_array_equal([o.box_px for o in objects], shapes.geometry.bounds)
    mixed = gpd.GeoDataFrame(geometry=[*shapes.geometry, *mirrored(shapes).geometry])
    mixed.to_file(tmp_path / "mixed.gpkg")
    source = DataSource(kind="raster", raster=str(png), labels=str(tmp_path / "mixed.gpkg"))
    with pytest.raises(BoxesError, match="2 of 4 boxes"):
        read_labels(source)
    told = DataSource(kind="raster", raster=str(png), labels=str(tmp_path / "mixed.gpkg"), y_axis="up")
    assert read_labels(told)[1] == {"outside the raster": 2}


def test_pixel_labels_on_a_turned_raster_are_those_of_the_file(write_raster: WriteRaster, tmp_path: Path) -> None:
    turned = Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
    scene = write_raster(array=pixels()[None], transform=turned)
    shapes = gpd.GeoDataFrame(geometry=[shapely.Polygon(s) for s in SHAPES])
    on_map = shapes.set_geometry(shapely.transform(shapes.geometry.to_numpy(), AffineMapping(turned).to_map)).set_crs(32633)
    shapes.to_parquet(tmp_path / "pixel.parquet")
    on_map.to_parquet(tmp_path / "map.parquet")
    source = {"kind": "raster", "raster": str(scene)}
    first, _ = read_labels(DataSource(**source, labels=str(tmp_path / "map.parquet")))  # type: ignore[arg-type]
    second, _ = read_labels(DataSource(**source, labels=str(tmp_path / "pixel.parquet"), labels_crs="pixel"))  # type: ignore[arg-type]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.rings[0], b.rings[0], atol=1e-3)


def test_a_session(png: Path, tiny_model: Path) -> None:
    expected = rosgeo.segment(png, up(BOXES[0]), model=tiny_model).geometry[0]
    x0, y0, x1, y1 = BOXES[0]
    session = Session(png, model=tiny_model)
    for corners, crs in (((x0, y0, x1, y1), None), ((x0, -y0, x1, -y1), None), ((x0, y0, x1, y1), "pixel")):
        draft = session.box(*corners, crs=crs)
        assert draft.polygon is not None
        assert draft.polygon.equals_exact(expected, 0)
        assert draft.box.equals(up(BOXES[0]).geometry[0])
    for at, crs in (((24.5, 38.5), None), ((24.5, -38.5), None), ((24.5, 38.5), "pixel")):
        session.box(x0, y0, x1, y1)
        draft = session.point(*at, positive=False, crs=crs)
        np.testing.assert_array_equal(draft.points_map, [[24.5, -38.5]])
        assert draft.polygon is None or not draft.polygon.contains(shapely.Point(24.5, -38.5))
    # Pixels that are said to be such are never mirrored: the widget's box may begin above the picture.
    assert session.box(10, -50, 62, 30, crs="pixel").box.bounds == (10, -30, 62, 50)
    with pytest.raises(CRSMismatchError, match="has no CRS, but the box is in EPSG:4326"):
        session.box(0, 0, 10, 10, crs="EPSG:4326")


def test_a_session_on_a_transform_without_crs(png: Path, with_world_file: Affine, tiny_model: Path) -> None:
    session = Session(png, model=tiny_model)
    with pytest.warns(PixelFrameWarning, match="coordinates of that transform"):
        first = session.box(*(with_world_file @ BOXES[0][:2]), *(with_world_file @ BOXES[0][2:]))
    second = session.box(*BOXES[0], crs="pixel")
    assert first.polygon is not None
    assert first.polygon.equals_exact(second.polygon, 0)
    clicked = session.point(*(with_world_file @ (24.5, 38.5)), positive=False)
    np.testing.assert_allclose(clicked.points_map, [with_world_file @ (24.5, 38.5)])


def test_a_figure(png: Path) -> None:
    from matplotlib.collections import LineCollection

    result = run(png, down()).result
    drawn = []
    for boxes in (down(), up(), down().set_crs(4326)):
        axes = rosgeo.plot(result, png, boxes=boxes, objects=0, whole=True).axes[0]
        (bottom, top), (left, right) = axes.get_ylim(), axes.get_xlim()
        assert (left, right, bottom, top) == (0, WIDTH, -HEIGHT, 0)
        drawn.append([p.vertices.tolist() for c in axes.collections if isinstance(c, LineCollection) for p in c.get_paths()])
    assert drawn[0] == drawn[1] == drawn[2]
    lines = np.concatenate([np.array(v) for v in drawn[0]])
    assert (lines[:, 1] <= 0).all()


def test_a_read_result_is_not_on_a_web_map(png: Path, tmp_path: Path) -> None:
    pytest.importorskip("folium")
    run(png, down(), output=tmp_path / "out.gpkg")
    with pytest.raises(CRSMismatchError, match="no place on a web map"):
        rosgeo.view(gpd.read_file(tmp_path / "out.gpkg", layer="masks"))


def test_on_the_command_line(site: Site, png: Path) -> None:
    mixed = gpd.GeoDataFrame(geometry=[*down().geometry, *up().geometry])
    site.write(mixed, "mixed.gpkg")
    site.refuse("frame.png", "mixed.gpkg", words=("mixed.gpkg: 2 of 4 boxes", "--y-axis"))
    done(site.run("frame.png", "mixed.gpkg", "--y-axis", "up", "-o", "up.gpkg"))
    assert (gpd.read_file("up.gpkg", layer="masks")["rosgeo_status"] == "outside").tolist() == [True, True, False, False]
    site.write(up(), "drawn.gpkg")
    first = done(
        site.run("frame.png", "drawn.gpkg", "--mask-raster", "mask.tif", "--preview", "p.png", "-o", "a.gpkg", "-o", "a.json")
    )
    assert "arning" not in first.output
    done(site.run("frame.png", "a.gpkg", "--layer", "prompts", "-o", "b.gpkg"))
    a, b = (gpd.read_file(name, layer="masks").geometry for name in ("a.gpkg", "b.gpkg"))
    assert [g and g.wkb for g in a] == [g and g.wkb for g in b]
    info = site.cli("info", "frame.png")
    assert "coordinates:      x = column, y = -row, where QGIS shows it" in info.stdout
    labels = site.write(mirrored(gpd.GeoDataFrame(geometry=[shapely.Polygon(s) for s in SHAPES])), "labels.gpkg")
    for extra in ([], ["--y-axis", "up"]):
        scored = site.cli("evaluate", "frame.png", "--labels", labels, "--model", site.model, "--json", "f.json", *extra)
        assert scored.exit_code == 0, scored.output
        assert json.loads(Path("f.json").read_text())["objects"] == 2


# ---------------------------------------------------------------- in QGIS


@pytest.mark.parametrize("world_file", [False, True])
def test_outlines_lie_on_the_picture_in_qgis(png: Path, world_file: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    needs_qgis()
    if world_file:
        request.getfixturevalue("with_world_file")
    run(png, down(), output=tmp_path / "out.gpkg", boxes_crs="pixel")
    side = 1120
    shown = tmp_path / "map.png"
    in_qgis(tmp_path, "render", path=str(tmp_path / "out.gpkg"), raster=str(png), layers=["masks"], png=str(shown), side=side)
    picture = np.array(Image.open(shown).convert("RGB")).astype(int)
    scale = side / WIDTH
    ground = np.repeat(np.repeat(pixels() > 128, round(scale), 0), round(scale), 1)
    assert picture.shape[:2] == ground.shape
    # The line of the class of 0.9: along the edge of what is bright, and nowhere else.
    coloured = np.ptp(picture, axis=2) > 90
    edge = np.zeros_like(ground)
    edge[:-1] |= ground[:-1] != ground[1:]
    edge[:, :-1] |= ground[:, :-1] != ground[:, 1:]
    rows, cols = np.nonzero(edge)
    assert coloured[rows, cols].mean() > 0.97
    near = np.zeros_like(ground)
    for dy in range(-8, 9):
        for dx in (-8, 0, 8):
            near |= np.roll(edge, (dy, dx), (0, 1))
            near |= np.roll(edge, (dx, dy), (0, 1))
    assert not (coloured & ~near).any()


def test_boxes_drawn_in_qgis(
    png: Path, tmp_path: Path, tiny_model: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer as QGIS makes one, without a CRS and with the one that a project happens to have, through the Processing script."""
    needs_qgis()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    there = tmp_path / "profiles" / "default"
    there.mkdir(parents=True)
    assert cli("qgis", "install", "--profile", there).exit_code == 0
    wkt = [g.wkt for g in up().geometry]
    in_qgis(tmp_path, "draw", path=str(tmp_path / "none.gpkg"), wkt=wkt, crs="")
    in_qgis(tmp_path, "draw", path=str(tmp_path / "project.gpkg"), wkt=wkt, crs="EPSG:4326")
    given = {"SCENE": str(png), "MODEL": str(tiny_model), "DEVICE": "cpu"}
    runs = [
        {
            "parameters": {**given, "OUTPUT": str(tmp_path / f"{name}_out.gpkg")},
            "boxes": f"{tmp_path / name}.gpkg|layername=drawn",
            "memory": name == "none",
        }
        for name in ("none", "project")
    ]
    for one in in_qgis(tmp_path, "process", profile=f"{there}/", runs=runs):
        assert one["success"], one["errors"]
        assert not one["warnings"]
    expected = segment_run(png, down(), segment_options_of(tiny_model)).result
    assert "ok" in set(expected["rosgeo_status"])
    for name in ("none", "project"):
        found = gpd.read_file(tmp_path / f"{name}_out.gpkg", layer="masks")
        assert found["rosgeo_status"].tolist() == expected["rosgeo_status"].tolist()
        same(found.geometry.dropna(), expected.geometry.dropna())


def segment_options_of(model: Path) -> SegmentOptions:
    return SegmentOptions(model=str(model), device="cpu")
