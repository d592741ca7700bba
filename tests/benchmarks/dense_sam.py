"""ROS-SAM at full size on a dense scene, beside the published code: ``python tests/benchmarks/dense_sam.py SCENE LAYERS``.

SAM ViT-B at 1024 px with the HQ decoder, random weights: masks are noise, so that polygons are made of the ellipse in each box. The
baseline is the loop of the ROS-SAM reference on the published modules: segment_anything's encoder and segment_anything_hq's decoder (HQ
token only), one crop and one box at a time, float32, each mask thresholded on the whole picture and kept, no polygons. Rosgeo loads the
same weights; its times are of whole runs from the open file to polygons, without loading the model. The largest difference of the logits
stands beside them, on the same crops.

The reference takes some twenty seconds an object on two cores, each the same, so that it and ``--no-share`` are timed on a few objects
(``--reference-count``), in turns; the shared runs take all boxes of LAYERS (``--count``). Needs segment-anything-hq
(``pip install --no-deps segment-anything-hq``).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import torch
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.crops import PADDING_RGB, batch_crops
from rosgeo.inference.predict import Segmenter
from rosgeo.model._segment_anything import modeling
from rosgeo.model.registry import open_model
from rosgeo.raster.bands import StretchRule
from rosgeo.raster.crops import open_reader
from rosgeo.raster.source import open_source
from rosgeo.run.options import SHARE_FACTOR, SegmentOptions
from rosgeo.run.pipeline import segment_run
from rosgeo.run.prepare import prepare
from rosgeo.types import Crop, ObjectMask
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.model.test_checkpoints import hq_state
from tests.model.test_hq_decoder import published

SIDE, DIM, GLOBAL = 1024, 768, (2, 5, 8, 11)


class Smooth(Segmenter):
    """Runs the network, and hands on the ellipse in each box in place of its noise, whose polygons no real mask would have."""

    def segment(self, crops: Iterable[Crop]) -> Iterator[ObjectMask]:
        crops = list(crops)
        boxes = {crop.id: crop.box_crop for crop in crops}
        for mask in super().segment(crops):
            x_min, y_min, x_max, y_max = boxes[mask.id]
            centres = (np.arange(len(mask.logits)) + 0.5) * mask.window.size / len(mask.logits)
            u, v = (centres - (x_min + x_max) / 2) / (x_max - x_min), (centres - (y_min + y_max) / 2) / (y_max - y_min)
            yield replace(mask, logits=(5 - 10 * np.hypot(u[None, :], v[:, None])).astype(np.float32))


@dataclass
class Reference:
    """The published modules, with random weights."""

    sam: Any
    decoder: Any

    def logits(self, image: Tensor, box: Tensor) -> Tensor:
        """(1, 1, 256, 256) of a crop uint8 (1, 3, 1024, 1024) and its box (1, 4) in its pixels."""
        early: list[Tensor] = []
        handle = self.sam.image_encoder.blocks[GLOBAL[0]].register_forward_hook(lambda _m, _i, output: early.append(output))
        embedding = self.sam.image_encoder(self.sam.preprocess(image.float()))
        handle.remove()
        sparse, dense = self.sam.prompt_encoder(points=None, boxes=box, masks=None)
        logits: Tensor = self.decoder(
            image_embeddings=embedding,
            image_pe=self.sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            hq_token_only=True,
            interm_embeddings=early,
        )[0]
        return logits


def make_reference() -> Reference:
    torch.manual_seed(0)
    encoder = modeling.ImageEncoderViT(
        img_size=SIDE,
        patch_size=16,
        embed_dim=DIM,
        depth=12,
        num_heads=12,
        out_chans=256,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        global_attn_indexes=GLOBAL,
        window_size=14,
    )
    sizes = {"depth": 2, "embedding_dim": 256, "mlp_dim": 2048, "num_heads": 8}
    prompt = modeling.PromptEncoder(embed_dim=256, image_embedding_size=(64, 64), input_image_size=(SIDE, SIDE), mask_in_chans=16)
    plain = modeling.MaskDecoder(transformer_dim=256, transformer=modeling.TwoWayTransformer(**sizes))
    decoder = published().MaskDecoderHQ(transformer_dim=256, transformer=modeling.TwoWayTransformer(**sizes), vit_dim=DIM)
    return Reference(modeling.Sam(encoder, prompt, plain).eval(), decoder.eval())


def reference_loop(
    scene: str, boxes: gpd.GeoDataFrame, options: SegmentOptions, reference: Reference, segmenter: Segmenter
) -> tuple[float, float]:
    """Seconds, and the largest difference of rosgeo's logits over the largest logit."""
    with open_source(scene) as source:
        ready = prepare(source, boxes, options)
        reader = open_reader(source, bands=None, stretch=StretchRule(), padding_rgb=PADDING_RGB)
        shape = source.grid.shape
        masks, seconds, error = [], 0.0, 0.0
        for tile in ready.plan.tiles:
            for window, box, row in zip(tile.windows, tile.boxes.xyxy, tile.boxes.ids.tolist(), strict=True):
                started = time.perf_counter()
                batch = batch_crops([reader.read(window, box, row)], SIDE)
                logits = reference.logits(torch.from_numpy(batch.image), torch.from_numpy(batch.boxes_model).float())
                on_crop = torch.nn.functional.interpolate(logits, (window.size, window.size), mode="bilinear", align_corners=False)
                whole = np.zeros(shape, dtype=bool)
                rows, cols = window.readable(shape)
                whole[rows, cols] = (on_crop[0, 0].numpy() > 0)[window.paste(shape)]
                masks.append(whole)
                seconds += time.perf_counter() - started
                output = segmenter.model.network(torch.from_numpy(batch.image), torch.from_numpy(batch.boxes_model))
                found = segmenter.model.network.served_logits(output)
                error = max(error, float((found - logits).abs().max() / logits.abs().max()))
    return seconds, error


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene")
    parser.add_argument("layers")
    parser.add_argument("--crop", default="paper", choices=["auto", "paper"], help="of all rows")
    parser.add_argument("--share", type=float, action="append", help="share factors; of no meaning for the crop paper  [3]")
    parser.add_argument("--reference-count", type=int, default=4)
    parser.add_argument("--count", type=int, help="only the first so many boxes")
    arguments = parser.parse_args()
    boxes = gpd.read_file(arguments.layers, layer="boxes")[: arguments.count]
    few = boxes[: arguments.reference_count]
    reference = make_reference()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        torch.save(hq_state(reference.sam, reference.decoder), path)
        plain = SegmentOptions(model=str(path), mask_token="hq", precision="float32", crop=CropPolicy(arguments.crop))
        segmenter = Smooth(open_model(path, mask_token="hq"), precision="float32")

        def run(frame: gpd.GeoDataFrame, options: SegmentOptions) -> float:
            started = time.perf_counter()
            segment_run(arguments.scene, frame, options, segmenter=segmenter)
            return (time.perf_counter() - started) / len(frame)

        seconds, error = reference_loop(arguments.scene, few, plain, reference, segmenter)
        base = seconds / len(few)
        alone = run(few, plain)
        print(f"{Path(arguments.scene).name}: {len(boxes)} boxes, crop {arguments.crop}, {torch.get_num_threads()} threads")
        print(f"largest difference of the logits over the largest: {error:.1e}")
        print("| ROS-SAM ViT-B at 1024 px, float32 | boxes | passes an object | s an object | times the reference |")
        print("|" + " --- |" * 5)
        print(f"| the reference's loop, published modules | {len(few)} | 1 | {base:.2f} | 1 |")
        print(f"| rosgeo --no-share | {len(few)} | 1 | {alone:.2f} | {base / alone:.2f} |", flush=True)
        for share in arguments.share or [SHARE_FACTOR]:
            options = replace(plain, crop=CropPolicy(arguments.crop, share=share))
            with open_source(arguments.scene) as source:
                windows = [w for tile in prepare(source, boxes, options).plan.tiles for w in tile.windows]
            took = run(boxes, options)
            passes = len(set(windows)) / len(windows)
            print(f"| rosgeo --share ({share:g}) | {len(boxes)} | {passes:.2f} | {took:.2f} | {base / took:.2f} |", flush=True)


if __name__ == "__main__":
    main()
