"""Boxes between key frames, of tools that store no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["between"]


def between(start: Sequence[float], end: Sequence[float], first: int, last: int) -> Iterator[tuple[int, list[float]]]:
    """Frames after `first` and before `last`, each with the values that lie on the way from one to the other."""
    for frame in range(first + 1, last):
        part = (frame - first) / (last - first)
        yield frame, [a + part * (b - a) for a, b in zip(start, end, strict=True)]
