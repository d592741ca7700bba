"""The ablation of rosgeo-small's training: ``python tests/benchmarks/training_ablation.py TRAIN VAL BACKBONE [--folder runs/ablation]``.

Every row is a run of ``rosgeo train configs/train/rosgeo-small.yaml`` with some keys changed, at a scale that two cores can do: input
224 px, one object a crop, few updates. So rows are to be compared with each other, not with the shipped model. Runs that are finished
are not run again. In the end: ``rosgeo evaluate VAL --ablate training`` over all of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

CONFIG = Path(__file__).parents[2] / "configs" / "train" / "rosgeo-small.yaml"

FIXED_SCALE = {"augmentation.box_share": [0.6, 0.6]}
NO_ROTATION = {"augmentation.rotate_any": 0.0, "augmentation.quarter_turns": False}
NO_DETAIL = {"model.detail_size": 0}
LAST_BLOCK_FOR_EARLY = {"model.early_blocks": [11]}

CACHED: dict[str, dict[str, object]] = {
    "1 decoder only": {**FIXED_SCALE, **NO_ROTATION, **NO_DETAIL, **LAST_BLOCK_FOR_EARLY, "stages.cached.update": "sam"},
    "2 + HQ token": {**FIXED_SCALE, **NO_ROTATION, **NO_DETAIL, **LAST_BLOCK_FOR_EARLY},
    "3 + early features": {**FIXED_SCALE, **NO_ROTATION, **NO_DETAIL},
    "4 + large-scale jittering": {**NO_ROTATION, **NO_DETAIL},
    "5 + rotation": {**NO_DETAIL},
    "6 alternating updates": {**NO_DETAIL, "stages.cached.update": "alternate"},
    "7 point-sampled loss": {**NO_DETAIL, "loss.points": "sampled"},
    "8 mask grid 8 times the tokens": {"model.detail_size": 128},
}
"""Over kept features of the frozen backbone. Rows 1 to 5 add one thing each; 6 to 8 change one thing of row 5."""

LIVE: dict[str, dict[str, object]] = {
    "9 row 5, on, frozen encoder": {"stages.live.rank": 0, "stages.live.last_block": False},
    "10 row 5, on, + LoRA": {"stages.live.last_block": False},
    "11 row 5, on, + LoRA + last block": {},
    "12 row 11 with alternating updates": {"stages.live.update": "alternate"},
}
"""From the weights of row 5, on fresh samples."""

START = "5 + rotation"


def train(name: str, changes: dict[str, object], arguments: argparse.Namespace) -> Path:
    """Run a row where it is not finished; its folder."""
    folder = Path(arguments.folder) / name.replace(" ", "-").replace(",", "")
    if list(folder.glob("*-last.safetensors")):
        return folder
    options = {
        "train": arguments.train,
        "val": arguments.val,
        "output": str(folder),
        "model.name": "row",
        "model.input_size": 224,
        "validation": {"every": 0, "objects": 40, "overlays": 0, "checkpoint_every": 50},
        **changes,
    }
    command = [sys.executable, "-m", "rosgeo", "train", str(CONFIG), "--resume", "--quiet"]
    for key, value in options.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    print(name, flush=True)
    subprocess.run(command, check=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train")
    parser.add_argument("val")
    parser.add_argument("backbone")
    parser.add_argument("--folder", default="runs/ablation")
    parser.add_argument("--crops", type=int, default=960, help="kept crops a row")
    parser.add_argument("--updates", type=int, default=360, help="of 8 objects, over kept features")
    parser.add_argument("--live-updates", type=int, default=80, help="of 8 crops, on fresh samples")
    arguments = parser.parse_args()
    folders = []
    cached = {
        "stages.cached.crops": arguments.crops,
        "stages.cached.samples": 8 * arguments.updates,
        "stages.cached.coarse_share": 0.0,
    }
    for name, changes in CACHED.items():
        # Kept features depend on augmentation and early feature: rows that share both share them.
        kept = "-".join(key for key, is_in in _kept(changes).items() if is_in) or "all"
        common = {"init.backbone": arguments.backbone, "stages.live": None, **cached}
        folders.append(train(name, {**common, **changes, "stages.cached.folder": f"{arguments.folder}/features-{kept}"}, arguments))
    start = folders[list(CACHED).index(START)] / "row.safetensors"
    for name, changes in LIVE.items():
        common = {
            "init": {"model": str(start)},
            "stages.cached": None,
            "stages.live.samples": 8 * arguments.live_updates,
            **NO_DETAIL,
        }
        folders.append(train(name, {**common, **changes}, arguments))
    command = [sys.executable, "-m", "rosgeo", "evaluate", arguments.val, "--ablate", "training"]
    for folder in folders:
        command += ["--run", str(folder)]
    subprocess.run([*command, "--json", f"{arguments.folder}/ablation.json"], check=True)


def _kept(changes: dict[str, object]) -> dict[str, bool]:
    return {
        "fixed": "augmentation.box_share" in changes,
        "upright": "augmentation.rotate_any" in changes,
        "last": "model.early_blocks" in changes,
        "fine": "model.detail_size" not in changes or changes["model.detail_size"] != 0,
    }


if __name__ == "__main__":
    main()
