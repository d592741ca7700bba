"""What a run leaves to look at: a log, curves, sheets of overlays."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from rosgeo.files.places import whole_file
from rosgeo.types import BoolArray, UInt8Array

__all__ = ["RunLog", "draw_curves", "draw_sheet", "overlay"]

logger = logging.getLogger(__name__)

_COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189))
_LABEL, _MASK = (0, 255, 80), (255, 0, 200)


class RunLog:
    """``log.csv`` (a row an update), ``val.csv`` (a row an evaluation) and, where tensorboard is installed, its event files.

    Parameters
    ----------
    folder : Path
        Of the run.
    done : int
        Updates that are done; rows beyond them are of a killed run and are dropped.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._folder = folder
        for name in ("log.csv", "val.csv"):
            _truncate(folder / name, done)
        self._board = _tensorboard(folder, done)

    def step(self, row: dict[str, Any]) -> None:
        """Log an update; ``step`` counts over all stages."""
        self._write("log.csv", row, "train")

    def validation(self, row: dict[str, Any]) -> None:
        """Log an evaluation, and draw the curves anew."""
        self._write("val.csv", row, "val")
        logger.info("%s", json.dumps(row))
        draw_curves(_read(self._folder / "log.csv"), _read(self._folder / "val.csv"), self._folder / "curves.png")

    def close(self) -> None:
        """Draw the curves for the last time."""
        draw_curves(_read(self._folder / "log.csv"), _read(self._folder / "val.csv"), self._folder / "curves.png")
        if self._board is not None:
            self._board.close()

    def _write(self, name: str, row: dict[str, Any], tag: str) -> None:
        path = self._folder / name
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
        if self._board is not None:
            for key, value in row.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{tag}/{key}", value, row["step"])


def _tensorboard(folder: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)  # type: ignore[no-untyped-call]


def _truncate(path: Path, done: int) -> None:
    rows = _read(path)
    if done == 0:
        path.unlink(missing_ok=True)
    elif rows and int(rows[-1]["step"]) > done:
        with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(row for row in rows if int(row["step"]) <= done)


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        # A killed run may have left a row cut short.
        return [row for row in csv.DictReader(file) if row.get("step") and None not in row.values()]


def draw_curves(log: Sequence[dict[str, str]], val: Sequence[dict[str, str]], path: Path) -> None:
    """Loss and IoU over the updates as a PNG."""
    if not log:
        return
    steps = np.array([int(row["step"]) for row in log])
    loss = {"loss": (steps, _smooth([float(row["loss"]) for row in log]))}
    iou = {name: (steps, _smooth([float(row[name]) for row in log])) for name in ("iou_hq", "iou_sam")}
    if val:
        iou["val object_iou"] = (np.array([int(r["step"]) for r in val]), np.array([float(r["object_iou"]) for r in val]))
    picture = Image.new("RGB", (1120, 420), "white")
    draw = ImageDraw.Draw(picture)
    _plot(draw, loss, (60, 30, 530, 380))
    _plot(draw, iou, (620, 30, 1090, 380))
    with whole_file(path) as partial:
        picture.save(partial, format="PNG")


def _smooth(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Mean over a window of a fiftieth of the row, shorter at its start."""
    width = max(len(values) // 50, 1)
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - width, 0)
    smoothed: npt.NDArray[np.float64] = (total[end] - total[start]) / (end - start)
    return smoothed


def _plot(draw: ImageDraw.ImageDraw, curves: dict[str, tuple[Any, Any]], area: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = area
    x_max = max(max(float(x.max()) for x, _ in curves.values()), 1.0)
    low, high = min(float(y.min()) for _, y in curves.values()), max(float(y.max()) for _, y in curves.values())
    high = high if high > low else low + 1
    draw.rectangle(area, outline="black")
    for i in range(5):
        y = bottom - i * (bottom - top) / 4
        draw.line([(left, y), (right, y)], fill=(225, 225, 225))
        draw.text((left - 52, y - 6), f"{low + i * (high - low) / 4:.3f}", fill="black")
        draw.text((left + i * (right - left) / 4 - 8, bottom + 8), f"{i * x_max / 4:.0f}", fill="black")
    for i, (name, (x, y)) in enumerate(curves.items()):
        points = np.stack([left + x / x_max * (right - left), bottom - (y - low) / (high - low) * (bottom - top)], axis=1)
        draw.line([tuple(p) for p in points], fill=_COLOURS[i], width=2)
        draw.text((left + 10 + 130 * i, top - 20), f"{name} {y[-1]:.3f}", fill=_COLOURS[i])


def overlay(image: UInt8Array, label: BoolArray, mask: BoolArray, side: int) -> Image.Image:
    """A crop (3, h, h) with the edges of label (green) and mask (magenta), scaled to `side` px; both in any resolution."""
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).resize((side, side), Image.Resampling.BICUBIC)
    pixels = np.array(picture)
    for cells, colour in ((label, _LABEL), (mask, _MASK)):
        grown = np.array(Image.fromarray(cells).resize((side, side), Image.Resampling.NEAREST))
        pixels[_edge(grown)] = colour
    return Image.fromarray(pixels)


def _edge(mask: BoolArray) -> BoolArray:
    """Cells of a mask with a neighbour outside it."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    edge: BoolArray = mask & ~inner
    return edge


def draw_sheet(tiles: Sequence[tuple[Image.Image, str]], path: Path, columns: int = 6) -> None:
    """Pictures of one size with a line of text each, as one PNG."""
    if not tiles:
        return
    side, text = tiles[0][0].width, 16
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + text)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (tile, caption) in enumerate(tiles):
        x, y = i % columns * side, i // columns * (side + text)
        sheet.paste(tile, (x, y + text))
        draw.text((x + 3, y + 2), caption, fill="black")
    sheet.save(path)
