"""What clicks are worth: ``python tests/benchmarks/points.py FOLDER [--every 6]``.

A COCO folder's objects, each from its own box in a `rosgeo.Session`, then corrected by simulated clicks as in the literature on interactive
segmentation (Sofiiuk et al. 2020, "f-BRS"): each click in the middle of the largest error, on the object where it was missed and off it
where it was overdrawn. Prints the mean IoU of the outline with the label after each click, and NoC: the mean number of clicks to an IoU,
an object that never gets there counting as the most. Beside it the same figures for clicks that paint a disc of a fixed size.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict

import cv2
import numpy as np
import shapely
from rosgeo.evaluation.metrics import mask_iou
from rosgeo.inference.predict import Segmenter
from rosgeo.interactive.session import Session
from rosgeo.labelled.coco import read_coco
from rosgeo.labelled.coverage import polygon_mask
from rosgeo.labelled.data import LabelledObject
from rosgeo.model.registry import open_model
from rosgeo.types import BoolArray
from tqdm import tqdm

DISC = 0.05
"""Radius of the discs that the baseline paints, over the longer side of the box."""

TARGETS = (0.85, 0.9)


def next_click(found: BoolArray, truth: BoolArray, allowed: BoolArray) -> tuple[float, float, bool] | None:
    """The middle (x, y) of the largest error that may be clicked, and whether the object is there; None where there is no error."""
    best: tuple[float, float, float, bool] | None = None
    for error, positive in ((truth & ~found & allowed, True), (found & ~truth & allowed, False)):
        depth = cv2.distanceTransform(np.pad(error, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[row, column] > 0 and (best is None or depth[row, column] > best[0]):
            best = (float(depth[row, column]), column + 0.5, row + 0.5, positive)
    return None if best is None else best[1:]


def outline_mask(polygon: shapely.Geometry | None, shape: tuple[int, int]) -> BoolArray:
    rings = (
        [] if polygon is None else [shapely.get_coordinates(r) for p in shapely.get_parts(polygon) for r in shapely.get_rings(p)]
    )
    return polygon_mask(rings, shape) if rings else np.zeros(shape, dtype=bool)


def by_clicks(session: Session, labelled: LabelledObject, truth: BoolArray, most: int) -> list[float]:
    """IoU after 0, 1, ... `most` clicks."""
    draft = session.box(*labelled.box_px)
    found = outline_mask(draft.polygon, truth.shape)
    allowed = np.zeros(truth.shape, dtype=bool)
    assert draft.place.crop is not None
    allowed[draft.place.crop.window.readable(truth.shape)] = True
    ious = [mask_iou(found, truth)]
    for _ in range(most):
        click = next_click(found, truth, allowed)
        if click is not None:
            x, y, positive = click
            found = outline_mask(session.point(x, y, positive).polygon, truth.shape)
            allowed[int(y), int(x)] = False
        ious.append(mask_iou(found, truth))
    return ious


def by_painting(found: BoolArray, labelled: LabelledObject, truth: BoolArray, most: int) -> list[float]:
    """The same where a click paints a disc."""
    x0, y0, x1, y1 = labelled.box_px
    radius = DISC * max(x1 - x0, y1 - y0)
    rows, cols = np.mgrid[: truth.shape[0], : truth.shape[1]]
    found, allowed, ious = found.copy(), np.ones(truth.shape, dtype=bool), [mask_iou(found, truth)]
    for _ in range(most):
        click = next_click(found, truth, allowed)
        if click is not None:
            x, y, positive = click
            found[np.hypot(cols + 0.5 - x, rows + 0.5 - y) <= max(radius, 0.5)] = positive
            allowed[int(y), int(x)] = False
        ious.append(mask_iou(found, truth))
    return ious


def summary(name: str, ious: list[list[float]]) -> dict[str, object]:
    table = np.array(ious)
    most = table.shape[1] - 1
    steps = [k for k in (0, 1, 2, 3, 5, 10) if k <= most]
    noc = {}
    for target in TARGETS:
        there = table >= target
        noc[target] = float(np.where(there.any(axis=1), there.argmax(axis=1), most).mean())
    print(
        f"| {name} | "
        + " | ".join(f"{table[:, k].mean():.3f}" for k in steps)
        + " | "
        + " | ".join(f"{noc[t]:.2f}" for t in TARGETS)
        + f" | {int((table[:, 1] < table[:, 0] - 0.01).sum())} |"
    )
    return {"iou": {k: float(table[:, k].mean()) for k in steps}, "noc": noc}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--model", default="rosgeo-small")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--first", type=int, default=0, help="from this one")
    parser.add_argument("--clicks", type=int, default=5)
    parser.add_argument("--json", help="write the figures here")
    arguments = parser.parse_args()
    objects, _ = read_coco(arguments.folder)
    pictures = sorted({o.image_path for o in objects})[arguments.first :: arguments.every]
    by_picture: dict[str, list[LabelledObject]] = defaultdict(list)
    for labelled in objects:
        by_picture[labelled.image_path].append(labelled)
    segmenter = Segmenter(open_model(arguments.model))
    clicked, painted = [], []
    with tqdm(total=sum(len(by_picture[p]) for p in pictures), unit="object") as bar:
        for path in pictures:
            session = Session(path, segmenter=segmenter, crops_kept=1)
            for labelled in by_picture[path]:
                truth = polygon_mask(labelled.rings, (labelled.height, labelled.width))
                clicked.append(by_clicks(session, labelled, truth, arguments.clicks))
                session.clear()
                first = outline_mask(session.box(*labelled.box_px).polygon, truth.shape)
                painted.append(by_painting(first, labelled, truth, arguments.clicks))
                bar.update()
    steps = [k for k in (0, 1, 2, 3, 5, 10) if k <= arguments.clicks]
    print(f"{len(clicked)} objects in {len(pictures)} pictures, {arguments.model}")
    print(
        "| | "
        + " | ".join(f"{k} clicks" for k in steps)
        + " | "
        + " | ".join(f"NoC {t}" for t in TARGETS)
        + " | worse by > 0.01 after 1 |"
    )
    print("| --- |" + " --- |" * (len(steps) + len(TARGETS) + 1))
    figures = {"clicks": summary("rosgeo", clicked), "painted": summary(f"discs of {DISC:g} of the box", painted)}
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
