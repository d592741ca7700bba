"""What is written of scenes in a site's own coordinates comes back as boxes, in every format."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.vector.layers.read import read_boxes

from tests.conftest import EllipseSegmenter
from tests.corpus.layers import plain_boxes, write_scene


@pytest.mark.filterwarnings("ignore::rosgeo.errors.FormatLossWarning")
@pytest.mark.parametrize("suffix", ["gpkg", "parquet", "geojson", "fgb", "shp"])
def test_a_site_s_result_is_the_boxes_of_another_run(tmp_path: Path, suffix: str) -> None:
    scene, output, segmenter = write_scene(tmp_path, "site"), tmp_path / f"out.{suffix}", EllipseSegmenter()
    plain = segment_run(scene, plain_boxes("site"), SegmentOptions(), output=output, segmenter=segmenter).result  # type: ignore[arg-type]
    boxes = read_boxes(output)[["name", plain.geometry.name if suffix == "parquet" else "geometry"]]
    again = segment_run(scene, boxes, SegmentOptions(boxes_crs="raster"), segmenter=segmenter).result  # type: ignore[arg-type]
    for one, other in zip(plain.geometry, again.geometry, strict=True):
        assert one.intersection(other).area / one.union(other).area > 0.97
