"""Several scenes in one command: each box on the scene that shows it best, tiles that touch as one, one result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rosgeo.errors import (
    BoxesError,
    CRSMismatchError,
    NoOverlapWarning,
    OptionError,
    OutputError,
    PixelsWarning,
    RasterError,
    RunInterruptedError,
)
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.geometry.mosaic import best_scenes, box_shares, touching_groups
from rosgeo.raster.collection import expand_scenes
from rosgeo.raster.mosaic import MosaicSource, join_scenes, read_header
from rosgeo.raster.reading import make_reading
from rosgeo.raster.source import open_source
from rosgeo.run.estimate import estimate_run
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.types import RasterGrid
from rosgeo.vector.layers.write import LAYER, read_record

from tests.cli_site import Site
from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes
from tests.corpus.grids import write_rpc

UTM = "EPSG:32633"
ARRAY = np.random.default_rng(3).integers(1, 255, (3, 120, 160), dtype=np.uint8)
BOXES = [(10, 10, 30, 40), (70, 50, 95, 80), (72, 20, 90, 44), (100, 52, 120, 68), (130, 90, 150, 110)]
"""In pixels of the whole; the second to fourth are on seams of the tiles, the second on both."""


def boxes_of(boxes: list[tuple[float, float, float, float]] = BOXES, **columns: Any) -> gpd.GeoDataFrame:  # type: ignore[assignment]
    return px_boxes(boxes, NORTH_UP, UTM, name=[f"box {i}" for i in range(len(boxes))], **columns)


def tile(write_raster: WriteRaster, name: str, col: int, row: int, width: int, height: int, **more: Any) -> Path:
    array = more.pop("array", ARRAY)
    part = array[:, row : row + height, col : col + width]
    return write_raster(name, part, Affine(0.5, 0, 500_000 + col / 2, 0, -0.5, 4_000_000 - row / 2), **more)


@pytest.fixture
def tiles(write_raster: WriteRaster) -> list[Path]:
    """Four tiles of the whole, of different sizes."""
    return [
        tile(write_raster, f"tile_{i}.tif", *part)
        for i, part in enumerate([(0, 0, 80, 60), (80, 0, 80, 60), (0, 60, 80, 60), (80, 60, 80, 60)])
    ]


def run(scene: Any, boxes: Any = None, **more: Any) -> Any:
    options = more.pop("options", SegmentOptions())
    return segment_run(
        scene, boxes_of() if boxes is None else boxes, options, segmenter=more.pop("segmenter", EllipseSegmenter()), **more
    )  # type: ignore[arg-type]


class Textured(EllipseSegmenter):
    """An outline that depends on the pixels, so that other pixels would show."""

    def segment(self, crops: Any) -> Iterator[Any]:
        kept = []

        def seen() -> Iterator[Any]:
            for crop in crops:
                kept.append(crop)
                yield crop

        for mask in super().segment(seen()):
            crop = next(c for c in kept if c.id == mask.id)
            light = np.repeat(np.repeat(crop.image.mean(axis=0), 4, 0), 4, 1)[: len(mask.logits), : len(mask.logits)]
            mask.logits[:] += ((light - 128) / 64).astype(np.float32)
            yield mask


# ---------------------------------------------------------------- which scene


def test_the_choice_is_whole_then_valid_then_fine_then_first() -> None:
    row = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4])
    scene = np.array([0, 1, 0, 1, 0, 1, 1, 0, 2])
    inside = np.array([0.5, 1, 1, 1, 1, 1, 1, 1, 0.0])
    invalid = np.array([0, 0.9, 0.2, 0.1, 0, 0.004, 0, 0, 0])
    size = np.array([1, 5, 1, 5, 5, 1, 2, 2, 1.0])
    assert best_scenes(row, scene, inside, invalid, size, 6).tolist() == [1, 1, 1, 0, -1, -1]


candidates = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.integers(0, 4),
        st.sampled_from([0.0, 0.3, 1.0]),
        st.sampled_from([0.0, 0.5]),
        st.sampled_from([1.0, 2.0]),
    ),
    max_size=20,
    unique_by=lambda c: c[:2],
)


@given(candidates, st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_candidates(found: list[tuple[Any, ...]], order: Any) -> None:
    def chosen(of: list[tuple[Any, ...]]) -> list[int]:
        columns = np.array(of, dtype=np.float64).reshape(-1, 5).T
        rows, scenes = columns[:2].astype(np.int64)
        best: list[int] = best_scenes(rows, scenes, *columns[2:], 6).tolist()
        return best

    best = chosen(found)
    mixed = list(found)
    order.shuffle(mixed)
    assert chosen(mixed) == best
    for row, scene in enumerate(best):
        mine = {c[1]: (-c[2], c[3], c[4], c[1]) for c in found if c[0] == row and c[2] > 0}
        assert scene == (min(mine, key=mine.__getitem__) if mine else -1)


def grid(col: int, row: int, width: int, height: int, size: float = 0.5) -> RasterGrid:
    return RasterGrid(height, width, AffineMapping(Affine(size, 0, 1000 + col * size, 0, -size, 5000 - row * size)))


def members(grids: list[RasterGrid], kinds: list[Any] | None = None) -> list[tuple[int, ...]]:
    return [m.members for m in touching_groups(grids, kinds or ["rgb"] * len(grids))]


def test_tiles_that_touch_are_one() -> None:
    a, b, c, d = grid(0, 0, 10, 10), grid(10, 0, 10, 10), grid(0, 10, 10, 10), grid(10, 10, 5, 5)
    assert members([a, b, c, d]) == [(0, 1, 2, 3)]
    assert members([a, d]) == [(0, 1)]  # at a corner
    assert members([a, grid(21, 0, 10, 10)]) == [(0,), (1,)]  # a gap
    assert members([a, grid(9, 0, 10, 10)]) == [(0,), (1,)]  # an overlap
    assert members([a, a]) == [(0,), (1,)]
    assert members([a, grid(5, 0, 5, 5, 1.0)]) == [(0,), (1,)]  # another pixel size
    assert members([a, b, c], ["rgb", "grey", "rgb"]) == [(0, 2), (1,)]
    assert members([a, b], [None, None]) == [(0,), (1,)]
    # Two dates of the same tiles.
    assert members([a, b, a, b]) == [(0, 1), (2, 3)]
    # The one that joins two groups.
    assert members([a, grid(20, 0, 10, 10), b]) == [(0, 1, 2)]
    assert touching_groups([], []) == []


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 4), st.integers(1, 4)), max_size=8))
def test_groups_hold_each_scene_once_and_no_pixel_twice(parts: list[tuple[int, int, int, int]]) -> None:
    grids = [grid(*part) for part in parts]
    groups = touching_groups(grids, ["rgb"] * len(grids))
    assert sorted(n for g in groups for n in g.members) == list(range(len(grids)))
    for group in groups:
        cover = np.zeros(group.grid.shape, dtype=int)
        for (col, row), (width, height), n in zip(group.offsets, group.sizes, group.members, strict=True):
            cover[row : row + height, col : col + width] += 1
            corner = np.array([[0.0, 0.0]])
            np.testing.assert_allclose(group.grid.mapping.to_map(corner + np.array([col, row])), grids[n].mapping.to_map(corner))
        assert cover.max() == 1
        whole = box_shares(np.array([[0, 0, group.grid.width, group.grid.height]], dtype=np.float64), group)
        assert whole.sum() == pytest.approx(cover.mean())


def test_a_box_goes_to_the_scene_that_has_it_whole(write_raster: WriteRaster) -> None:
    west, east = tile(write_raster, "west.tif", 0, 0, 100, 120), tile(write_raster, "east.tif", 80, 0, 80, 120)
    result = run([west, east]).result
    assert result["rosgeo_scene"].tolist() == ["west.tif", "west.tif", "west.tif", "east.tif", "east.tif"]
    assert result["rosgeo_status"].tolist() == ["ok"] * 5
    assert run([east, west]).result["rosgeo_scene"].tolist() == ["west.tif", "west.tif", "west.tif", "east.tif", "east.tif"]


def test_then_to_the_one_with_the_fewest_invalid_pixels(write_raster: WriteRaster) -> None:
    hole = ARRAY.copy()
    hole[:, :, :50] = 0
    clouded = tile(write_raster, "a_clouded.tif", 0, 0, 160, 120, array=hole, nodata=0)
    clear = tile(write_raster, "b_clear.tif", 0, 0, 160, 120, nodata=0)
    result = run([clouded, clear]).result
    assert result["rosgeo_scene"].tolist() == ["b_clear.tif", *["a_clouded.tif"] * 4]
    assert result["rosgeo_status"].tolist() == ["ok"] * 5


def test_then_to_the_finest_whatever_its_crs(write_raster: WriteRaster) -> None:
    coarse = write_raster("coarse.tif", ARRAY[:, ::2, ::2].copy(), Affine(1, 0, 500_000, 0, -1, 4_000_000))
    west, south, east, north = (
        gpd.GeoSeries([shapely.box(500_000, 3_999_940, 500_080, 4_000_000)], crs=UTM).to_crs(4326).total_bounds
    )
    degrees = Affine((east - west) / 160, 0, west, 0, -(north - south) / 120, north)
    fine = write_raster("fine.tif", ARRAY, degrees, "EPSG:4326")
    run_ = run([coarse, fine])
    assert run_.result["rosgeo_scene"].tolist() == ["fine.tif"] * 5
    assert run_.result.crs == UTM  # of the first
    alone = run(fine).result.to_crs(UTM)
    for one, other in zip(run_.result.geometry, alone.geometry, strict=True):
        assert one.intersection(other).area / one.union(other).area > 0.999
    assert run([coarse, fine], options=SegmentOptions(crs="EPSG:3857")).result.crs == "EPSG:3857"


def test_rows_that_are_on_no_scene_keep_their_place(tiles: list[Path]) -> None:
    frame = boxes_of([(500, 500, 520, 520), *BOXES[:2]])
    frame.loc[2, "geometry"] = shapely.Polygon()
    frame.loc[3] = {"name": "null", "geometry": None}
    result = run(tiles, frame).result
    assert result["rosgeo_status"].tolist() == ["outside", "ok", "invalid", "invalid"]
    assert result["rosgeo_scene"].tolist() == [None, "tile_0.tif", None, None]
    assert result["rosgeo_id"].tolist() == [0, 1, 2, 3]
    with pytest.warns(NoOverlapWarning, match="not one box of the GeoDataFrame touches one of the 4 scenes"):
        assert run(tiles, frame.iloc[:1]).result["rosgeo_status"].tolist() == ["outside"]


# ---------------------------------------------------------------- tiles as their mosaic


@pytest.mark.parametrize("outline", ["smooth", "pixel"])
def test_tiles_give_the_outlines_of_their_mosaic(write_raster: WriteRaster, tiles: list[Path], outline: str) -> None:
    from rosgeo.vector.polygonize import OutlineOptions

    options = SegmentOptions(outline=OutlineOptions(outline=outline))  # type: ignore[arg-type]
    whole = run(write_raster("whole.tif", ARRAY), options=options, segmenter=Textured()).result
    parts = run(tiles, options=options, segmenter=Textured()).result
    assert whole["rosgeo_status"].tolist() == ["ok"] * 5
    assert [g.wkb for g in parts.geometry] == [g.wkb for g in whole.geometry]
    assert parts["rosgeo_scene"].tolist() == [
        "tile_0.tif",
        "tile_0.tif + tile_1.tif + tile_2.tif + tile_3.tif",
        "tile_0.tif + tile_1.tif",
        "tile_1.tif + tile_3.tif",
        "tile_3.tif",
    ]


def test_the_pixels_of_a_mosaic(write_raster: WriteRaster, tiles: list[Path]) -> None:
    (mosaic,) = join_scenes([read_header(t) for t in tiles])
    source = MosaicSource(mosaic)
    with open_source(write_raster("whole.tif", ARRAY)) as whole:
        assert (source.grid.shape, source.count, source.dtypes) == (whole.grid.shape, whole.count, whole.dtypes)
        for rows, cols in ((slice(0, 120), slice(0, 160)), (slice(50, 70), slice(70, 95)), (slice(3, 9), slice(100, 140))):
            for one, other in zip(source.read((1, 2, 3), rows, cols), whole.read((1, 2, 3), rows, cols), strict=True):
                np.testing.assert_array_equal(one, other)
        for side in (1000, 40):
            one, good = source.read_decimated((3, 2, 1), side)
            assert good.all()
            other, _ = whole.read_decimated((3, 2, 1), side)
            assert one.shape == other.shape
            if side == 1000:
                np.testing.assert_array_equal(one, other)
    source.close()


def test_where_a_tile_is_missing_nothing_is_seen(tiles: list[Path]) -> None:
    (mosaic,) = join_scenes([read_header(t) for t in tiles[:3]])
    values, valid = MosaicSource(mosaic).read((1, 2, 3), slice(50, 70), slice(70, 90))
    assert valid.tolist() == (~np.pad(np.ones((10, 10), dtype=bool), ((10, 0), (10, 0)))).tolist()
    assert (values[:, 10:, 10:] == 0).all()
    result = run(tiles[:3]).result
    assert result["rosgeo_status"].tolist() == ["ok"] * 4 + ["outside"]


def test_tiles_of_16_bit_are_stretched_together(write_raster: WriteRaster) -> None:
    array = (ARRAY.astype(np.uint16) + np.arange(160, dtype=np.uint16) * 100).astype(np.uint16)
    halves = [tile(write_raster, f"half_{i}.tif", 80 * i, 0, 80, 120, array=array) for i in (0, 1)]
    whole = run(write_raster("whole.tif", array), segmenter=Textured())
    parts = run(halves, segmenter=Textured())
    assert parts.record["views"][0]["stretch"]["low"] == pytest.approx(whole.record["stretch"]["low"], rel=0.01)
    assert [g.wkb for g in parts.result.geometry] == [g.wkb for g in whole.result.geometry]


# ---------------------------------------------------------------- outputs, resume, append, cluster


def test_the_result_and_its_record(tiles: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out.gpkg"
    run(tiles, output=output)
    written = gpd.read_file(output, layer=LAYER)
    assert written["rosgeo_scene"][0] == "tile_0.tif"
    record = read_record(output)
    assert record["inputs"]["scene"] == "4 scenes"
    assert record["inputs"]["scenes"] == [str(t) for t in tiles]
    assert [len(v["scenes"]) for v in record["views"]] == [4]
    prompts = gpd.read_file(output, layer="prompts")
    assert shapely.equals_exact(prompts.geometry.normalize(), boxes_of().geometry.normalize(), 1e-3).all()


class Stopping(EllipseSegmenter):
    def __init__(self, after: int | None = None) -> None:
        self.seen: list[int] = []
        self._after = after

    def segment(self, crops: Any) -> Any:
        for mask in super().segment(crops):
            if len(self.seen) == self._after:
                raise KeyboardInterrupt
            self.seen.append(mask.id)
            yield mask


def test_interrupted_and_resumed(write_raster: WriteRaster, tmp_path: Path) -> None:
    scenes = [write_raster(f"scene_{i}.tif", ARRAY, Affine(0.5, 0, 500_000 + 1000 * i, 0, -0.5, 4_000_000)) for i in range(3)]
    frames = [boxes_of().translate(xoff=1000 * i) for i in range(3)]
    boxes = gpd.GeoDataFrame({"n": range(15)}, geometry=[g for f in frames for g in f], crs=UTM)
    output = tmp_path / "out.gpkg"
    with pytest.raises(RunInterruptedError):
        run(scenes, boxes, output=output, segmenter=Stopping(14))
    segmenter = Stopping()
    result = run(scenes, boxes, output=output, resume=True, segmenter=segmenter).result
    assert 0 < len(segmenter.seen) < 15
    assert result["rosgeo_scene"].tolist() == [f"scene_{i}.tif" for i in range(3) for _ in range(5)]
    assert [g.wkb for g in result.geometry] == [g.wkb for g in run(scenes, boxes).result.geometry]


def test_append_with_more_boxes_and_more_scenes(write_raster: WriteRaster, tiles: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out.gpkg"
    run(tiles, boxes_of().iloc[:3], output=output)
    segmenter = Stopping()
    far = write_raster("far.tif", ARRAY, Affine(0.5, 0, 510_000, 0, -0.5, 4_000_000))
    frame = boxes_of()
    frame.loc[4, "geometry"] = shapely.affinity.translate(frame.geometry[4], xoff=10_000)
    run_ = run([*tiles, far], frame, output=output, append=True, segmenter=segmenter)
    assert len(segmenter.seen) == 2
    assert run_.record["added"] == 2
    written = gpd.read_file(output, layer=LAYER)
    assert written["name"].tolist() == [f"box {i}" for i in range(5)]
    assert written["rosgeo_scene"].tolist()[3:] == ["tile_1.tif + tile_3.tif", "far.tif"]
    assert run([*tiles, far], frame, output=output, append=True).record["added"] == 0


def test_on_a_cluster(tiles: list[Path], tiny_model: Path) -> None:
    from distributed import Client, LocalCluster

    options = SegmentOptions(model=str(tiny_model), device="cpu", precision="float32")
    here = segment_run(tiles, boxes_of(), options).result
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):  # type: ignore[no-untyped-call]
        there = segment_run(tiles, boxes_of(), options, client=client).result
    assert there["rosgeo_status"].tolist() == here["rosgeo_status"].tolist()
    for one, other in zip(here.geometry, there.geometry, strict=True):
        assert (one is None) == (other is None)
        assert one is None or one.equals(other)


def test_a_dry_run(tiles: list[Path], tiny_model: Path) -> None:
    figures = estimate_run(tiles, boxes_of(), SegmentOptions(model=str(tiny_model)))
    assert (figures["boxes"], figures["planned"], figures["outside"]) == (5, 5, 0)
    assert figures["bytes_to_read"] > 0


# ---------------------------------------------------------------- what is refused


def test_scenes_without_a_common_map(write_raster: WriteRaster, tiles: list[Path], tmp_path: Path) -> None:
    bare = write_raster("bare.tif", ARRAY, None, None)
    with pytest.raises(CRSMismatchError, match=r"bare\.tif has no CRS"):
        run([tiles[0], bare])
    with pytest.raises(BoxesError, match="not of which scene"):
        run(tiles, boxes_of(), options=SegmentOptions(boxes_crs="pixel"))
    with pytest.raises(BoxesError, match="not of which scene"):
        run(tiles, np.array([[1, 2, 30, 40]]))
    with pytest.raises(OutputError, match="COCO with one picture"):
        run(tiles, output=tmp_path / "out.json")
    with pytest.raises(RasterError, match="empty"):
        run([])


# ---------------------------------------------------------------- by one name


def test_folders_patterns_and_stac(write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    for name in ("b.tif", "a.tif"):
        (folder / name).write_bytes(write_raster(name).read_bytes())
    (folder / "a.tif.aux.xml").write_text("<PAMDataset/>")
    paths = [str(folder / "a.tif"), str(folder / "b.tif")]
    assert expand_scenes(folder) == expand_scenes(str(folder)) == expand_scenes(str(folder / "*.tif")) == paths
    assert expand_scenes([folder, folder / "a.tif"]) == paths
    assert expand_scenes("netcdf:scene.nc:Band1") == ["netcdf:scene.nc:Band1"]

    def item(name: str, **assets: Any) -> dict[str, Any]:
        return {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": name,
            "geometry": None,
            "properties": {},
            "links": [],
            "assets": assets,
        }

    cog = {"type": "image/tiff; application=geotiff; profile=cloud-optimized"}
    one = item(
        "a",
        visual={"href": "./scenes/a.tif", **cog},
        nir={"href": "nir.tif", **cog},
        thumbnail={"href": "a.png", "roles": ["thumbnail"]},
    )
    two = item("b", anything={"href": "scenes/b.tif", "roles": ["data"]}, meta={"href": "b.xml"})
    collection = tmp_path / "items.json"
    collection.write_text(json.dumps({"type": "FeatureCollection", "features": [one, two]}))
    assert expand_scenes(collection) == paths
    (tmp_path / "item.json").write_text(json.dumps(one))
    assert expand_scenes(tmp_path / "item.json") == paths[:1]
    bands = item("c", red={"href": "red.tif", **cog}, blue={"href": "blue.tif", **cog})
    (tmp_path / "bands.json").write_text(json.dumps(bands))
    with pytest.raises(RasterError, match=r"2 assets that are rasters \(red, blue\)"):
        expand_scenes(tmp_path / "bands.json")


def test_the_command_line(site: Site, tiles: list[Path]) -> None:
    site.write(boxes_of(), "grid.gpkg")
    result = site.run(*tiles, "grid.gpkg", "-o", "all.gpkg", "-q")
    assert result.exit_code == 0, result.output
    assert len(gpd.read_file(site.folder / "all.gpkg", layer=LAYER)) == 5
    site.refuse(*tiles, "grid.gpkg", "--preview", "a.png", words=("picture", "4 were given"))
    site.refuse("missing.tif", *tiles, "grid.gpkg", words=("missing.tif: no such file",))


def test_coco_of_several_pictures_over_their_scenes(write_raster: WriteRaster, tmp_path: Path) -> None:
    scenes = [write_raster(f"scene_{i}.tif", ARRAY, Affine(0.5, 0, 500_000 + 1000 * i, 0, -0.5, 4_000_000)) for i in range(2)]
    content = {
        "images": [{"id": i, "file_name": f"images/scene_{i}.tif", "width": 160, "height": 120} for i in range(3)],
        "categories": [{"id": 1, "name": "roof"}],
        "annotations": [{"id": i, "image_id": n, "category_id": 1, "bbox": [10, 10, 20, 30]} for i, n in enumerate([1, 0, 2])],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    result = run(scenes, path).result
    assert result["rosgeo_scene"].tolist() == ["scene_1.tif", "scene_0.tif"]
    assert result["rosgeo_id"].tolist() == [0, 1]
    assert result["label"].tolist() == ["roof"] * 2
    with rasterio.open(scenes[1]) as dataset:
        box = shapely.box(*(dataset.transform @ (10, 40)), *(dataset.transform @ (30, 10)))
    assert box.buffer(0.5).contains(result.geometry[0])


# ---------------------------------------------------------------- what is found of the scenes


def holed(array: np.ndarray, value: float) -> np.ndarray:
    other = array.astype(np.int16) * 3
    other[:, :, :80] = value
    return other


def test_values_that_no_tag_names_count_in_the_choice_of_the_scene(write_raster: WriteRaster) -> None:
    first = tile(write_raster, "a.tif", 0, 0, 160, 120, array=holed(ARRAY, -9999))
    second = tile(write_raster, "b.tif", 0, 0, 160, 120, array=ARRAY.astype(np.int16) * 3)
    with pytest.warns(PixelsWarning) as told:
        made = run([first, second], boxes_of([BOXES[0], BOXES[4]]))
    assert made.result["rosgeo_scene"].tolist() == ["b.tif", "a.tif"]
    assert made.result["rosgeo_status"].tolist() == ["ok", "ok"]
    # Once, and of the stretch that the run has.
    assert ["far below all other values" in str(w.message) for w in told] == [True]
    assert [view.get("fill") for view in made.record["views"]] == [[{"value": -9999.0, "share": 0.5, "nodata": True}], None]


def test_choosing_a_scene_warns_of_no_stretch(write_raster: WriteRaster, recwarn: pytest.WarningsRecorder) -> None:
    scenes = [tile(write_raster, n, 0, 0, 160, 120, array=ARRAY.astype(np.uint16) * 200) for n in ("a.tif", "b.tif")]
    assert run(scenes).result["rosgeo_scene"].tolist() == ["a.tif"] * len(BOXES)
    assert not len(recwarn)


def test_the_record_says_how_well_each_scene_is_placed(write_raster: WriteRaster, tmp_path: Path) -> None:
    path = tile(write_raster, "whole.tif", 0, 0, 160, 120)
    with rasterio.open(path) as whole:
        at = [(x, y, *(whole.transform @ (x, y))) for x in (0, 80, 160) for y in (0, 60, 120)]
    placed = write_raster("placed.tif", ARRAY, None)
    with rasterio.open(placed, "r+") as out:
        out.gcps = ([GroundControlPoint(row=y, col=x, x=east, y=north) for x, y, east, north in at], UTM)
    record = run([placed, tile(write_raster, "small.tif", 0, 0, 5, 5)]).record
    assert [view["placement"]["points"] for view in record["views"]] == [9]


DEGREES = Affine(0.01, 0, 179.5, 0, -0.01, 10)


def test_tiles_on_both_sides_of_the_antimeridian_are_seen_as_one(write_raster: WriteRaster) -> None:
    whole = write_raster("whole.tif", ARRAY, DEGREES, crs="EPSG:4326")
    west = write_raster("west.tif", ARRAY[:, :, :50], DEGREES, crs="EPSG:4326")
    # From 180 on, written as -180.
    east = write_raster("east.tif", ARRAY[:, :, 50:], Affine(0.01, 0, -180, 0, -0.01, 10), crs="EPSG:4326")
    far = write_raster("far.tif", ARRAY[:, :, :50], Affine(0.01, 0, 20, 0, -0.01, 10), crs="EPSG:4326")
    boxes = px_boxes([(35, 20, 70, 60), (80, 20, 100, 40), (5, 20, 25, 40)], DEGREES, "EPSG:4326")
    expected = run(whole, boxes, segmenter=Textured()).result.geometry
    for scenes in ([west, east, far], [far, east, west]):
        made = run(scenes, boxes, segmenter=Textured()).result
        assert [set(name.split(" + ")) for name in made["rosgeo_scene"]] == [{"west.tif", "east.tif"}, {"east.tif"}, {"west.tif"}]
        for mine, theirs in zip(made.geometry, expected, strict=True):
            turned = shapely.affinity.translate(mine, 360 * round((theirs.centroid.x - mine.centroid.x) / 360))
            assert turned.intersection(theirs).area / turned.union(theirs).area > 0.999


def test_tiles_round_the_globe_stay_as_they_are() -> None:
    grids = [RasterGrid(10, 12, AffineMapping(Affine(10, 0, 120 * i - 180, 0, -10, 50)), CRS.from_epsg(4326)) for i in range(3)]
    (group,) = touching_groups(grids, ["rgb"] * 3)
    assert (group.offsets[:, 0].tolist(), group.grid.mapping.to_map(np.zeros((1, 2))).tolist()) == ([0, 12, 24], [[-180, 50]])


def test_heights_are_for_the_scenes_that_rpcs_place(write_raster: WriteRaster, tmp_path: Path) -> None:
    placed = write_rpc(tmp_path, lambda lon, lat: 150.0)
    reading = make_reading(height=150.0)
    with open_source(placed, reading) as source:
        corners = source.grid.mapping.to_map(np.array([[60.0, 60], [90, 60], [90, 90], [60, 90]]))
        boxes = gpd.GeoDataFrame(geometry=[shapely.Polygon(corners)], crs=source.grid.crs)
    alone = run(placed, boxes, options=SegmentOptions(reading=reading)).result.geometry[0]
    far = tile(write_raster, "far.tif", 4000, 0, 5, 5, array=np.ones((3, 5, 4005), dtype=np.uint8))
    tile(write_raster, "t.tif", 6000, 0, 5, 5, array=np.ones((3, 5, 6005), dtype=np.uint8))
    for scenes in ([placed, far], [far, placed]):
        made = run(scenes, boxes, options=SegmentOptions(reading=reading, crs="EPSG:4326")).result
        assert made["rosgeo_scene"].tolist() == ["x.tif"]
        assert made.geometry[0].symmetric_difference(alone).area < 1e-3 * alone.area
    with pytest.raises(OptionError, match="holds no RPCs, so heights place nothing in it"):
        run([far, far.with_name("t.tif")], options=SegmentOptions(reading=reading))


def test_arrays_without_a_name_are_told_apart(tiles: list[Path]) -> None:
    arrays = [rioxarray.open_rasterio(path) for path in tiles[:2]]
    made = run([*arrays, tiles[2]], boxes_of([BOXES[0], (90, 5, 110, 25), (5, 70, 25, 90)])).result
    assert made["rosgeo_scene"].tolist() == ["DataArray (1)", "DataArray (2)", "tile_2.tif"]


@pytest.mark.parametrize("kind", ["paths", "arrays"])
def test_scenes_are_closed_by_whichever_thread(tiles: list[Path], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With a cache of the user's own there is no environment but the one that rasterio would make for each data set.
    monkeypatch.setenv("GDAL_CACHEMAX", "64")
    scenes = tiles if kind == "paths" else [rioxarray.open_rasterio(path) for path in tiles]
    assert run(scenes).result["rosgeo_status"].tolist() == ["ok"] * len(BOXES)
