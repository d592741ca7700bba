"""Scores of a model on a COCO folder: ``python tests/benchmarks/val_iou.py FOLDER [--factor 1.5 --factor 2 ...]``."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

from rosgeo.evaluation.scoring import evaluate
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.predict import Segmenter
from rosgeo.labelled.coco import read_coco
from rosgeo.model.registry import open_model
from tqdm import tqdm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--model", default="rosgeo-small")
    parser.add_argument("--input-size", type=int)
    parser.add_argument("--factor", type=float, action="append")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--json", help="write the figures here")
    arguments = parser.parse_args()
    objects, _ = read_coco(arguments.folder)
    pictures = sorted({o.image_path for o in objects})[:: arguments.every]
    objects = [o for o in objects if o.image_path in set(pictures)]
    segmenter = Segmenter(open_model(arguments.model, input_size=arguments.input_size))
    print(f"{len(objects)} objects in {len(pictures)} pictures")
    figures = {}
    for factor in arguments.factor or [CropPolicy().factor]:
        with tqdm(total=len(objects), unit="object") as bar:
            result = evaluate(objects, segmenter, replace(CropPolicy(), factor=factor), on_object=bar.update)
        figures[factor] = result.summary()
        print(f"factor {factor}: {json.dumps(result.summary())}; {result.seconds_an_object:.2f} s an object")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
