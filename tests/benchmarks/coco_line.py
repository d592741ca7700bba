"""A COCO folder through the whole command line's path: pictures as rasters, boxes in pixels, polygons against labels.

``python tests/benchmarks/coco_line.py FOLDER [--every N]``. Beside `val_iou.py`, which scores masks, it shows that polygons lose nothing.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import geopandas as gpd
import numpy as np
import shapely
from rosgeo.inference.predict import Segmenter
from rosgeo.labelled.coco import read_coco
from rosgeo.labelled.data import LabelledObject
from rosgeo.model.registry import open_model
from rosgeo.run.pipeline import SegmentOptions, segment_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture")
    arguments = parser.parse_args()
    by_picture: dict[object, list[LabelledObject]] = defaultdict(list)
    for labelled in read_coco(arguments.folder)[0]:
        by_picture[labelled.image_path].append(labelled)
    segmenter = Segmenter(open_model("rosgeo-small"))
    ious, seconds = [], 0.0
    for path, objects in list(by_picture.items())[:: arguments.every]:
        frame = gpd.GeoDataFrame(geometry=[shapely.box(*o.box_px) for o in objects])
        run = segment_run(path, frame, SegmentOptions(), segmenter=segmenter)
        seconds += run.record["seconds"]
        for polygon, labelled in zip(run.result.geometry, objects, strict=True):
            label = shapely.union_all([shapely.make_valid(shapely.Polygon(r)) for r in labelled.rings])
            ious.append(0.0 if polygon is None else polygon.intersection(label).area / polygon.union(label).area)
    print(f"{len(ious)} objects: mean IoU of polygons {np.mean(ious):.4f}; {seconds / len(ious):.3f} s an object")


if __name__ == "__main__":
    main()
