"""SAM's image encoder, ours beside segment_anything's, on the same random weights: ``python tests/benchmarks/encoder.py [--variant h]``.

One table from one run: every row once a round, the best of the rounds, and the worst over the best so that noise shows.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from rosgeo.inference.device import choose_device, cpu_has_bf16
from rosgeo.model._segment_anything import modeling
from rosgeo.model.sam_vit import SamVitEncoder
from torch import Tensor, nn

VARIANTS = {
    "b": {"dim": 768, "depth": 12, "num_heads": 12, "global_blocks": (2, 5, 8, 11)},
    "l": {"dim": 1024, "depth": 24, "num_heads": 16, "global_blocks": (5, 11, 17, 23)},
    "h": {"dim": 1280, "depth": 32, "num_heads": 16, "global_blocks": (7, 15, 23, 31)},
}
PATCH, WINDOW, EMBED = 16, 14, 256


@dataclass
class Row:
    name: str
    run: Callable[[Tensor], Tensor]
    dtype: torch.dtype = torch.float32
    autocast: bool = False
    seconds: list[float] = field(default_factory=list)
    error: float = 0.0
    memory: int = 0
    failed: str = ""

    def __call__(self, image: Tensor) -> Tensor:
        # Autocast keeps its bfloat16 copies of the weights until it is left: they are made anew in each pass, as in use.
        with torch.autocast(image.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            return self.run(image if self.autocast else image.to(self.dtype))


def flops(size: int, dim: int, depth: int, global_blocks: tuple[int, ...]) -> float:
    """Floating-point operations of one crop: 2 a multiplication of the matrix products, with no projection of padding."""
    side = size // PATCH
    n, places = side**2, (-(-side // WINDOW) * WINDOW) ** 2
    everywhere = 24 * n * dim**2  # query, key, value, proj and the MLP
    over_all = 4 * n * n * dim + 4 * n * side * dim
    in_windows = 4 * places * WINDOW**2 * dim + 4 * places * WINDOW * dim
    blocks = depth * everywhere + len(global_blocks) * over_all + (depth - len(global_blocks)) * in_windows
    return blocks + 2 * n * dim * 3 * PATCH**2 + 2 * n * (dim * EMBED + 9 * EMBED**2)


def networks(variant: str, size: int) -> tuple[nn.Module, SamVitEncoder]:
    """segment_anything's encoder with random weights, and ours with the same."""
    v = VARIANTS[variant]
    torch.manual_seed(0)
    theirs = modeling.image_encoder.ImageEncoderViT(
        img_size=size,
        embed_dim=v["dim"],
        depth=v["depth"],
        num_heads=v["num_heads"],
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        qkv_bias=True,
        use_rel_pos=True,
        window_size=WINDOW,
        global_attn_indexes=v["global_blocks"],
        out_chans=EMBED,
    )
    for name, parameter in theirs.named_parameters():
        if "pos" in name:
            nn.init.normal_(parameter, std=0.1)
    ours = SamVitEncoder(input_size=size, position_grid=size // PATCH, early_blocks=v["global_blocks"][:1], **v)
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval(), ours.eval()


def embed(encoder: SamVitEncoder, image: Tensor) -> Tensor:
    embedding: Tensor = encoder.neck(encoder.backbone(image)[0])
    return embedding


def make_rows(theirs: nn.Module, ours: SamVitEncoder, *, bf16: bool, compiled: bool) -> list[Row]:
    channels_last = copy.deepcopy(ours).to(memory_format=torch.channels_last)
    rows = [Row("segment_anything float32", theirs)]
    if bf16:
        rows.append(Row("segment_anything bf16 autocast", theirs, torch.bfloat16, autocast=True))
    rows += [Row("ours float32", partial(embed, ours)), Row("ours float32 channels-last", partial(embed, channels_last))]
    if bf16:
        whole = copy.deepcopy(channels_last).bfloat16()
        rows.append(Row("ours bf16 autocast", partial(embed, channels_last), torch.bfloat16, autocast=True))
        rows.append(Row("ours bf16 weights", partial(embed, whole), torch.bfloat16))
    if compiled:
        rows.append(Row("ours float32 compiled", torch.compile(partial(embed, channels_last))))
        if bf16:
            rows.append(Row("ours bf16 weights compiled", torch.compile(partial(embed, whole)), torch.bfloat16))
    return rows


def seconds(work: Callable[[], object], device: torch.device) -> float:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    wait()
    started = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - started


class Peak:
    """The machine's matrix product, measured in every round beside the rows."""

    def __init__(self, device: torch.device, dtypes: set[torch.dtype]) -> None:
        # On a GPU 2048 would not fill the machine.
        self.side = 8192 if device.type == "cuda" else 2048
        self.device, self.best = device, dict.fromkeys(sorted(dtypes, key=str), 0.0)

    def measure(self) -> None:
        for dtype, best in self.best.items():
            a = torch.randn(self.side, self.side, device=self.device).to(dtype)
            a @ a
            rate = 2 * self.side**3 / min(seconds(lambda a=a: a @ a, self.device) for _ in range(3))
            self.best[dtype] = max(best, rate)


def warm_up(row: Row, image: Tensor, want: Tensor) -> float:
    """First pass: its seconds, the error, the memory."""
    try:
        if image.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() if image.device.type == "cuda" else 0
        got: list[Tensor] = []
        took = seconds(lambda: got.append(row(image)), image.device)
        row.memory = torch.cuda.max_memory_allocated() - before if image.device.type == "cuda" else 0
        row.error = float((got[0].float() - want).abs().max() / want.abs().max())
        return took
    except torch.OutOfMemoryError:
        row.failed = "out of memory"
        return 0.0


def table(rows: list[Row], batch: int, per_crop: float, peak: Peak) -> None:
    cuda = peak.device.type == "cuda"
    base = {row.name: min(row.seconds) for row in rows if not row.failed}

    def times(row: Row, name: str) -> str:
        return f"{base[name] / base[row.name]:.2f}" if name in base else "-"

    for row in rows:
        if row.failed:
            print(f"| {batch} | {row.name} | {row.failed} |", flush=True)
            continue
        crop = base[row.name] / batch
        cells = [str(batch), row.name, f"{crop:.4g}", f"{max(row.seconds) / min(row.seconds):.2f}"]
        cells += [times(row, "segment_anything float32"), times(row, "segment_anything bf16 autocast"), f"{row.error:.1e}"]
        cells += [f"{per_crop / crop / 1e9:.0f}", f"{per_crop / crop / peak.best[row.dtype]:.0%}"]
        cells += [f"{1 / crop:.1f}", f"{row.memory / 1e9:.2f}"] if cuda else []
        print("| " + " | ".join(cells) + " |", flush=True)


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        tf32 = "with" if torch.backends.cuda.matmul.allow_tf32 else "without"
        return f"{torch.cuda.get_device_name(device)}, float32 products {tf32} TF32"
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {capability}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} before the run"


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=sorted(VARIANTS), default="b")
    parser.add_argument("--size", type=int, default=1024, help="input size in pixels, a multiple of 16")
    parser.add_argument("--batch", help="batch sizes, by commas; default 1 on the CPU, 1,2,4,8,16,32 elsewhere")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, help="rounds; default 3 on the CPU, 10 elsewhere")
    parser.add_argument("--compile", action="store_true", help="torch.compile too")
    parser.add_argument("--bf16", action="store_true", help="the bf16 rows also on a CPU without bf16 hardware")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    cpu = device.type == "cpu"
    batches = [int(b) for b in (arguments.batch or ("1" if cpu else "1,2,4,8,16,32")).split(",")]
    bf16 = not cpu or arguments.bf16 or cpu_has_bf16()
    v = VARIANTS[arguments.variant]
    per_crop = flops(arguments.size, v["dim"], v["depth"], v["global_blocks"])

    theirs, ours = networks(arguments.variant, arguments.size)
    rows = make_rows(theirs.to(device), ours.to(device), bf16=bf16, compiled=arguments.compile)
    peak = Peak(device, {row.dtype for row in rows})
    images = torch.randint(0, 256, (max(batches), 3, arguments.size, arguments.size), dtype=torch.uint8).to(device)
    # One by one, so that segment_anything has the memory for it.
    want = torch.cat([rows[0](ours.normalise(image[None])) for image in images])
    print(f"ViT-{arguments.variant.upper()} at {arguments.size} px, {per_crop / 1e9:.0f} GFLOP a crop; ", end="")
    print(f"torch {torch.__version__}, {machine(device)}.")
    if not bf16:
        print("No bf16 rows: this CPU has no bfloat16 hardware and would emulate it (--bf16 measures it all the same).")
    print()
    columns = ["batch", "encoder", "s a crop", "worst / best", "x s_a float32", "x s_a bf16", "error", "GFLOP/s", "of peak"]
    columns += [] if cpu else ["crops/s", "GB beyond weights"]
    print("| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns))
    notes = []
    for batch in batches:
        image = ours.normalise(images[:batch])
        for row in rows:
            row.seconds, row.failed = [], ""
            took = warm_up(row, image, want[:batch])
            if "compiled" in row.name:
                notes.append(f"{row.name}, batch {batch}: {took:.1f} s for the first pass")
        for _ in range(arguments.repeat or (3 if cpu else 10)):
            peak.measure()
            for row in rows:
                if not row.failed:
                    row.seconds.append(seconds(lambda row=row, image=image: row(image), device))
        table(rows, batch, per_crop, peak)
    print()
    rates = ", ".join(f"{str(dtype).removeprefix('torch.')} {rate / 1e9:.0f} GFLOP/s" for dtype, rate in peak.best.items())
    print(f"Peak (product of {peak.side} x {peak.side}): {rates}.")
    print("Error: largest difference to segment_anything float32 over its largest value.")
    print("\n".join(notes))


if __name__ == "__main__":
    main()
