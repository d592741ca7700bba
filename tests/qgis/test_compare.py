"""A comparison in a real QGIS."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from PIL import Image
from rosgeo.evaluation import compare_layers
from rosgeo.vector.layers.style import PAIR_KINDS

from tests.conftest import NORTH_UP, WriteRaster, px_boxes
from tests.qgis.test_results import near
from tests.qgis_site import in_qgis, needs_qgis

RIGHT, MADE_UP, MISSED, AT_THE_EDGE = (10, 10, 40, 50), (60, 10, 90, 50), (10, 70, 40, 110), (125, 10, 155, 50)


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.gpkg"
    truth = px_boxes([(12, 10, 42, 50), MISSED], NORTH_UP, "EPSG:32633")
    area = px_boxes([(0, 0, 130, 120)], NORTH_UP, "EPSG:32633")
    result = px_boxes([RIGHT, MADE_UP, AT_THE_EDGE], NORTH_UP, "EPSG:32633")
    compare_layers(gpd.GeoDataFrame(result).to_crs(4326), truth, area=area, output=path)
    return path


def test_right_missed_and_made_up_are_told_apart(compared: Path, write_raster: WriteRaster, tmp_path: Path) -> None:
    needs_qgis()
    scene = write_raster(array=np.full((3, 120, 160), 90, dtype=np.uint8))
    looked = in_qgis(tmp_path, "look", path=str(compared), layers=["pairs", "truth"])
    pairs, truth = looked["pairs"], looked["truth"]
    assert [label for label, _, _ in pairs["classes"]] == [label for _, label in PAIR_KINDS.values()]
    assert [keys[0] for keys in pairs["drawn"].values()] == [f"{{rosgeo-{i}}}" for i in (0, 1, 3, 2)]
    assert (pairs["aliases"]["boundary_iou"], pairs["labels"], pairs["crs"]) == ("Boundary IoU (0–1)", False, "EPSG:32633")
    assert (truth["rows"], len(truth["classes"])) == (1, 1)
    png = tmp_path / "pairs.png"
    in_qgis(tmp_path, "render", path=str(compared), raster=str(scene), layers=["truth", "pairs"], png=str(png), side=1280)
    pixels = np.array(Image.open(png).convert("RGB"))
    scale = 1280 / 160
    places = {"right": RIGHT, "made up": MADE_UP, "missed": MISSED, "not counted": (125, 10, 130, 50)}
    for kind, (x0, y0, _, y1) in places.items():
        left = pixels[round(y0 * scale) : round(y1 * scale), round(x0 * scale) - 3 : round(x0 * scale) + 4]
        others = [colour for name, (colour, _) in PAIR_KINDS.items() if name != kind]
        assert near(left, PAIR_KINDS[kind][0]).any(axis=1).mean() > (0.4 if kind == "missed" else 0.95), kind
        assert not any(near(left, colour, 25).any() for colour in others), kind
    # The true outline of the pair, two pixels beside it, is dashed: there and not there along its edge.
    edge = pixels[round(14 * scale) : round(46 * scale), round(42 * scale)].astype(int).mean(axis=1)
    assert edge.max() > 200
    assert edge.min() < 150
