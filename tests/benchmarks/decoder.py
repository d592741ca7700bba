"""K boxes on one embedding, beside the published decoders: ``python tests/benchmarks/decoder.py [--prompts 1,8,32] [--device cpu]``.

Random weights, shared by each pair; 64 x 64 tokens of 256 channels (SAM at 1024 px). Needs segment-anything-hq
(``pip install --no-deps segment-anything-hq``).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rosgeo.model._segment_anything import modeling
from rosgeo.model.hq_decoder import HQMaskDecoder
from rosgeo.model.two_way import TwoWayTransformer

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.model.test_hq_decoder import published

SIZES = {"depth": 2, "embedding_dim": 256, "mlp_dim": 2048, "num_heads": 8}


def best_of(functions: list[Callable[[], object]], repeats: int, device: str) -> list[float]:
    """Least seconds of each function, in turns, so that noise of the machine meets all of them."""
    times = [float("inf")] * len(functions)
    for _ in range(repeats):
        for i, function in enumerate(functions):
            started = time.perf_counter()
            function()
            if device != "cpu":
                torch.cuda.synchronize()
            times[i] = min(times[i], time.perf_counter() - started)
    return times


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", default="1,8,32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = arguments.device
    torch.manual_seed(0)
    hq = published().MaskDecoderHQ(transformer_dim=256, transformer=modeling.TwoWayTransformer(**SIZES), vit_dim=768)
    sam = modeling.MaskDecoder(transformer_dim=256, transformer=modeling.TwoWayTransformer(**SIZES))
    sam.load_state_dict({k: v for k, v in hq.state_dict().items() if k in sam.state_dict()})
    ours_hq = HQMaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(**SIZES), early_dim=768)
    ours_hq.load_state_dict(hq.state_dict())
    ours_sam = HQMaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(**SIZES), early_dim=768, hq=False)
    ours_sam.load_state_dict(sam.state_dict())
    for network in (hq, sam, ours_hq, ours_sam):
        network.eval().to(device)
    embedding, early, pe = (torch.randn(1, c, 64, 64, device=device) for c in (256, 768, 256))
    dense = torch.randn(1, 256, 1, 1, device=device).expand(1, -1, 64, 64)
    print(f"{device}, {torch.get_num_threads()} threads, float32; best of {arguments.repeats}, in turns\n")
    print("| boxes | decoder | published s | ours s | times faster | largest difference / largest logit |")
    print("| --- | --- | --- | --- | --- | --- |")
    for count in (int(n) for n in arguments.prompts.split(",")):
        sparse = torch.randn(count, 2, 256, device=device)
        shared = {
            "image_embeddings": embedding,
            "image_pe": pe,
            "sparse_prompt_embeddings": sparse,
            "dense_prompt_embeddings": dense.expand(count, -1, -1, -1),
            "multimask_output": False,
        }
        own = {"embedding": embedding, "early": early, "image_pe": pe, "sparse_prompt": sparse, "dense_prompt": dense}
        tokens_last = early.permute(0, 2, 3, 1)
        jobs: list[Callable[[], torch.Tensor]] = [
            lambda s=shared: sam(**s)[0],
            lambda o=own: ours_sam(**o).sam_logits,
            lambda s=shared, e=tokens_last: hq(**s, hq_token_only=True, interm_embeddings=[e])[0],
            lambda o=own: ours_hq(**o).hq_logits,
        ]
        masks = [job() for job in jobs]
        times = best_of(jobs, arguments.repeats, device)
        for name, i in (("segment_anything", 0), ("segment_anything_hq, HQ token", 2)):
            error = float((masks[i] - masks[i + 1]).abs().max() / masks[i].abs().max())
            print(
                f"| {count} | {name} | {times[i]:.3f} | {times[i + 1]:.3f} | {times[i] / times[i + 1]:.2f} | {error:.1e} |",
                flush=True,
            )
        print(
            f"| {count} | our HQ against segment_anything's | {times[0]:.3f} | {times[3]:.3f} | {times[0] / times[3]:.2f} | - |",
            flush=True,
        )


if __name__ == "__main__":
    main()
