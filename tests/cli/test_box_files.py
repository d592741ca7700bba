"""The command line on boxes by other names and in detectors' files."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from tests.cli_site import BOX, UTM, Site
from tests.conftest import NORTH_UP, px_boxes

FOUND = {"bbox": [10, 10, 20, 30], "image_id": 0, "category_id": 1, "score": 0.5}


def result(site: Site) -> gpd.GeoDataFrame:
    return gpd.read_file(site.folder / "ok.gpkg", layer="masks")


@pytest.fixture
def files(site: Site) -> Site:
    pd.DataFrame([[*BOX, "Tree", 0.5]], columns=["xmin", "ymin", "xmax", "ymax", "label", "score"]).to_csv("trees.csv", index=False)
    images = [{"id": 0, "file_name": "scene.tif", "width": 160, "height": 120}]
    coco = {"images": images, "categories": [{"id": 1, "name": "Tree"}], "annotations": [FOUND]}
    (site.folder / "coco.json").write_text(json.dumps(coco))
    (site.folder / "scene.txt").write_text("0 0.125 0.20833333 0.125 0.25 0.5\n")
    (site.folder / "classes.txt").write_text("Tree\n")
    return site


@pytest.mark.parametrize("name", ["trees.csv", "coco.json", "scene.txt"])
@pytest.mark.parametrize("more", [(), ("--boxes-crs", "pixel")])
def test_a_detector_s_file_gives_the_outline_of_its_boxes(files: Site, name: str, more: tuple[str, ...]) -> None:
    files.statuses("scene.tif", "boxes.gpkg")
    plain = result(files)
    files.statuses("scene.tif", name, *more)
    assert result(files)["label"].tolist() == ["Tree"]
    assert result(files)["score"].tolist() == [0.5]
    prompts = gpd.read_file(files.folder / "ok.gpkg", layer="prompts").geometry[0]
    expected = px_boxes([BOX], NORTH_UP, UTM).geometry[0]
    assert shapely.equals_exact(prompts.normalize(), expected.normalize(), 1e-2)
    assert (plain.geometry[0] is None) == (result(files).geometry[0] is None)


def test_names_of_qgis(site: Site) -> None:
    site.write(px_boxes([BOX], NORTH_UP, UTM), "two.gpkg", layer="ships")
    site.write(px_boxes([BOX, BOX], NORTH_UP, UTM, n=[1, 2]), "two.gpkg", layer="planes")
    assert len(site.statuses("scene.tif", "two.gpkg|layername=planes")) == 2
    assert len(site.statuses("scene.tif", "two.gpkg|layername=planes|subset=n = 1", "--layer", "planes")) == 1
    site.refuse("scene.tif", "two.gpkg|layername=cars", words=("no layer 'cars'",))
    site.refuse("scene.tif", "two.gpkg|layername=ships", "-o", "two.gpkg", "--overwrite", words=("is an input",))
    site.refuse("scene.tif", "none.gpkg|layername=ships", words=("none.gpkg: no such file",))


def test_what_is_refused(files: Site) -> None:
    files.refuse("scene.tif", "coco.json", "--layer", "x", words=("coco.json",))
    files.refuse("scene.tif", "trees.csv", "--format", "coco", words=("trees.csv is not JSON",))
    files.refuse("scene.tif", "coco.json", "--format", "yolo", words=("coco.json, line 1",))
    files.refuse("scene.tif", "boxes.gpkg", "--format", "xyxy", words=("boxes.gpkg cannot be read as a table",))
    files.refuse("scene.tif", "trees.csv", "--where", "label = 'Bush'", words=("holds no boxes where label = 'Bush'",))


def test_boxes_that_are_added(files: Site) -> None:
    files.run("scene.tif", "coco.json", "-o", "all.gpkg")
    content = json.loads((files.folder / "coco.json").read_text())
    content["annotations"].append({**FOUND, "bbox": [60, 60, 20, 20]})
    (files.folder / "coco.json").write_text(json.dumps(content))
    added = files.run("scene.tif", "coco.json", "-o", "all.gpkg", "--append")
    assert added.exit_code == 0, added.output
    assert added.output.startswith("1 added to 1 held")
    rows = gpd.read_file(files.folder / "all.gpkg", layer="masks")
    assert np.array_equal(rows["rosgeo_id"], [0, 1])
