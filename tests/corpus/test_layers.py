"""Odd layers of boxes: each gives the outlines of the plain one, or one clear line; see `tests.corpus.layers`."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import rasterio.errors
from rosgeo.errors import GeometryWarning, NoOverlapWarning, PixelFrameWarning, UserInputError
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run

from tests.conftest import EllipseSegmenter
from tests.corpus.layers import LAYERS, SCENES, OddLayer, plain_boxes, write_scene

_SAID = (GeometryWarning, NoOverlapWarning, PixelFrameWarning)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scenes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        return {name: write_scene(folder, name) for name in SCENES}


@pytest.fixture(scope="module")
def plain(scenes: dict[str, Path]) -> dict[str, gpd.GeoDataFrame]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PixelFrameWarning)
        return {name: run(scene, plain_boxes(name), {}) for name, scene in scenes.items()}


def run(scene: Path, boxes: Any, options: dict[str, Any]) -> gpd.GeoDataFrame:
    segmenter: Any = EllipseSegmenter()
    return segment_run(scene, boxes, SegmentOptions(**options), segmenter=segmenter).result


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    names = [layer.name for layer in LAYERS]
    assert len(set(names)) >= 100


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_odd_layer(layer: OddLayer, scenes: dict[str, Path], plain: dict[str, gpd.GeoDataFrame], tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        boxes = layer.make(tmp_path)
        caught.clear()
        if layer.error is not None:
            with pytest.raises(UserInputError, match=layer.error):
                run(scenes[layer.scene], boxes, layer.options)
            return
        result = run(scenes[layer.scene], boxes, layer.options)
    said = [str(w.message) for w in caught if issubclass(w.category, _SAID)]
    if layer.warning is None:
        assert said == []
    else:
        assert any(re.search(layer.warning, message) for message in said), said
    _require_rows(result, layer, plain[layer.scene])
    for name, values in layer.columns.items():
        assert result[name].tolist() == values


def _require_rows(result: gpd.GeoDataFrame, layer: OddLayer, plain: gpd.GeoDataFrame) -> None:
    assert result["rosgeo_status"].tolist() == [row if isinstance(row, str) else "ok" for row in layer.rows]
    for row, shape in zip(layer.rows, result.geometry, strict=True):
        if not isinstance(row, str):
            expected = plain.geometry.iloc[row]
            assert shape.intersection(expected).area / shape.union(expected).area > 0.99
