"""Record the outlines that `test_golden_outlines` compares with, after new weights: ``python -m tests.make_golden``."""

from __future__ import annotations

import geopandas as gpd
from rosgeo.run.pipeline import SegmentOptions, segment_run

from tests.conftest import DATA
from tests.run.test_pipeline import DEMO, ROWS, SCENE


def main() -> None:
    boxes = gpd.read_file(DEMO / "rio_boxes.gpkg").iloc[ROWS].reset_index(drop=True)
    result = segment_run(SCENE, boxes, SegmentOptions(device="cpu", precision="float32")).result
    result.to_file(DATA / "golden_rio.geojson", driver="GeoJSON", COORDINATE_PRECISION=9)
    print(result[["rosgeo_status", "rosgeo_score"]])


if __name__ == "__main__":
    main()
