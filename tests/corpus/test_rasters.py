"""Every kind of raster of the corpus: outlines lie on the map where those of the plain run lie, or the exact words of what is wrong."""

from __future__ import annotations

import re
import warnings
from inspect import signature
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray
from rosgeo.errors import RasterError, RosgeoError, RosgeoWarning
from rosgeo.raster.bands import parse_stretch
from rosgeo.raster.crops import open_reader
from rosgeo.raster.source import open_source
from rosgeo.run.options import make_options
from rosgeo.run.pipeline import segment, segment_run
from rosgeo.types import CropWindow

from tests.corpus import arrays, formats, grids, pixels  # noqa: F401 - they fill KINDS
from tests.corpus.ground import AREAS, HalfwaySegmenter, boxes, picture
from tests.corpus.kinds import KINDS, Odd, write
from tests.corpus.refused import REFUSED

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning", "ignore::UserWarning:rasterio")

DEFAULTS = {name: p.default for name, p in signature(segment).parameters.items()}
"""Of the options, by name."""
OPTIONS = {name: DEFAULTS[name] for name in (*signature(make_options).parameters, "stretch", "layer", "where") if name in DEFAULTS}


def run(scene: Any, layer: gpd.GeoDataFrame, **options: Any) -> gpd.GeoDataFrame:
    segmenter: Any = HalfwaySegmenter()
    return segment_run(scene, layer, make_options(**{**OPTIONS, **options}), segmenter=segmenter).result


@pytest.fixture(scope="module")
def plainly(tmp_path_factory: pytest.TempPathFactory) -> gpd.GeoDataFrame:
    """Outlines of the plain raster; those that are looked for are ellipses, which it meets."""
    result = run(write(tmp_path_factory.mktemp("plain") / "x.tif", picture()), boxes())
    assert list(result["rosgeo_status"]) == ["ok"] * 4 + ["outside"]
    np.testing.assert_allclose(result.geometry[:4].area, AREAS, rtol=0.01)
    return result


def iou(a: Any, b: Any) -> float:
    return float(a.intersection(b).area / a.union(b).area)


@pytest.mark.parametrize("name", KINDS)
def test_outlines_lie_where_they_lie(name: str, tmp_path: Path, plainly: gpd.GeoDataFrame) -> None:
    odd = KINDS[name]
    scene = odd.make(tmp_path)
    options = {k: str(tmp_path / v) if k == "dem" else v for k, v in odd.options.items()}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = run(scene, boxes(), **options)
    told = [str(w.message) for w in said if issubclass(w.category, RosgeoWarning)]
    assert (len(told) == 1 and odd.warns in told[0]) if odd.warns else not told, told
    assert list(result["rosgeo_status"]) == ["nodata" if odd.holed else "ok", "ok", "ok", "ok", "outside"]
    on_map = result.geometry if result.crs is None else result.geometry.to_crs(plainly.crs)
    least = 0.97 if "truth" in name else 0.99
    found = [iou(on_map[i], plainly.geometry[i]) for i in range(odd.holed, 4)]
    assert min(found) > least, found


def seen(scene: Any, odd: Odd, folder: Path) -> tuple[np.ndarray, np.ndarray, Any]:
    """What the model would see of a scene, where that is valid, and where its corners lie."""
    options = make_options(**{**OPTIONS, **{k: str(folder / v) if k == "dem" else v for k, v in odd.options.items()}})
    with open_source(scene, options.reading) as source:
        reader = open_reader(source, bands=options.bands, stretch=parse_stretch(options.stretch), padding_rgb=(1, 2, 3))
        crop = reader.read(CropWindow(-3, -3, max(source.grid.shape) + 6), np.array([0.0, 0, 9, 9]), 0)
        height, width = source.grid.shape
        corners = source.grid.mapping.to_map(np.array([[0.0, 0], [width, 0], [width, height], [0.0, height]]))
        return crop.image, crop.valid, (source.grid.crs, corners)


@pytest.mark.filterwarnings("ignore::rosgeo.errors.RosgeoWarning")
@pytest.mark.parametrize("name", [name for name, odd in KINDS.items() if odd.file])
def test_path_data_set_and_array_of_a_file_are_the_same(name: str, tmp_path: Path) -> None:
    odd = KINDS[name]
    path = odd.make(tmp_path)
    image, valid, place = seen(path, odd, tmp_path)
    assert valid.any()
    masked = {"masked": True} if not {"colour table", "scale"} & set(re.split(r" (?=with|and)", name)) else {}
    with rasterio.open(path) as dataset:
        scenes = [dataset, rioxarray.open_rasterio(path), rioxarray.open_rasterio(path, chunks=64)]
        # Real numbers do not hold the largest integers.
        if "nodata" not in odd.options and name not in ("type int64", "type uint64"):
            scenes.append(rioxarray.open_rasterio(path, **masked))
        for scene in scenes:
            other_image, other_valid, (crs, corners) = seen(scene, odd, tmp_path)
            np.testing.assert_array_equal(other_valid, valid)
            np.testing.assert_array_equal(other_image, image)
            assert crs == place[0]
            np.testing.assert_allclose(corners, place[1], rtol=0, atol=1e-3 * np.abs(np.diff(place[1], axis=0)).max())


def test_a_scaled_array_shows_what_its_file_shows(tmp_path: Path) -> None:
    odd = KINDS["scale and offset"]
    path = odd.make(tmp_path)
    image, valid, _ = seen(path, odd, tmp_path)
    scaled, other, _ = seen(rioxarray.open_rasterio(path, mask_and_scale=True), odd, tmp_path)
    np.testing.assert_array_equal(other, valid)
    assert np.abs(scaled.astype(int) - image).max() <= 1  # measurements in single precision


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_do(name: str, tmp_path: Path) -> None:
    make, options, words = REFUSED[name]
    options = {k: str(tmp_path / v) if k == "dem" else v for k, v in options.items()}
    with pytest.raises(RosgeoError, match=words) as raised:
        run(make(tmp_path), boxes(), **options)
    assert "\n" not in str(raised.value)


def test_a_container_names_its_rasters(tmp_path: Path) -> None:
    name = KINDS["sub-dataset of netCDF"].make(tmp_path)
    with pytest.raises(RasterError, match=re.escape(name)):
        run(name.split(":")[1], boxes())


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
@pytest.mark.parametrize("how", ["file", "array"])
def test_the_smallest_rasters(shape: tuple[int, int], how: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.tif", picture(shape=shape))
    layer = boxes().set_geometry(boxes().translate(-6, 5))
    result = run(path if how == "file" else rioxarray.open_rasterio(path), layer)
    assert list(result["rosgeo_status"])[1:] == ["outside"] * 4
    assert result["rosgeo_status"][0] in ("ok", "empty")


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(KINDS) >= 80
    assert len(REFUSED) >= 30
