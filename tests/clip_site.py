"""Small clips and their tracks, for the tests of video."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
from PIL import Image
from rosgeo.tracks.values import Tracks

HEIGHT, WIDTH = 48, 64


def picture(index: int, dtype: str = "uint8", channels: int = 1) -> np.ndarray:
    """A frame (h, w) or (h, w, 3) whose mean tells its index."""
    noise = np.random.default_rng(7).integers(0, 20, (HEIGHT, WIDTH, channels))
    values = (noise + 10 * index + 20).astype(dtype)
    if dtype == "uint16":
        values = values * np.uint16(100)
    return values[..., 0] if channels == 1 else values


def write_frames(
    folder: Path, count: int, *, first: int = 0, suffix: str = ".png", name: str = "frame_{:06d}", **kind: Any
) -> Path:
    """Pictures ``frame_000000.png`` and so on."""
    folder.mkdir(exist_ok=True)
    for i in range(count):
        Image.fromarray(picture(i, **kind)).save(folder / f"{name.format(first + i)}{suffix}")
    return folder


def write_video(path: Path, pictures: Iterable[np.ndarray], *, codec: str = "libx264", fps: int = 5, **metadata: str) -> Path:
    """A video file, with a key frame now and then."""
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata)
        stream: Any = None
        for values in pictures:
            kind = {2: "gray16le" if values.dtype == np.uint16 else "gray", 3: "rgb24"}[values.ndim]
            frame = av.VideoFrame.from_ndarray(values, format=kind)
            if stream is None:
                stream = container.add_stream(codec, rate=fps)
                stream.height, stream.width = values.shape[:2]
                stream.pix_fmt = kind if codec == "ffv1" else "yuv420p"
                stream.codec_context.gop_size = 7
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


Rows = Iterable[tuple[int, int | str, tuple[float, float, float, float]]]
BOX = (10.0, 12.0, 30.0, 28.0)


def make_tracks(rows: Rows, *, first_frame: int = 0, frame_names: dict[int, str] | None = None, **columns: Any) -> Tracks:
    rows = list(rows)
    table = pd.DataFrame({"frame": pd.array([r[0] for r in rows], dtype="int64"), "track_id": [r[1] for r in rows]})
    table[["x_min", "y_min", "x_max", "y_max"]] = np.array([r[2] for r in rows], dtype=float).reshape(-1, 4)
    for name, values in columns.items():
        table[name] = values
    return Tracks(table, "tracks.csv", "csv", np.arange(2, len(table) + 2), first_frame=first_frame, frame_names=frame_names or {})


def moving_tracks(numbers: Iterable[int], *, tracks: int = 2, **more: Any) -> Tracks:
    """Objects that move by a pixel a frame."""
    rows = [
        (number, track, (4.0 + i + 20 * track, 5.0 + i, 18.0 + i + 20 * track, 17.0 + i))
        for i, number in enumerate(numbers)
        for track in range(tracks)
    ]
    return make_tracks(rows, **more)


Check = Callable[..., None]
