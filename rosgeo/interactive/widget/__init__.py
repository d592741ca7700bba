"""A Jupyter widget on a session: boxes and clicks on the picture, and what comes of them at once.

What the browser shows is in ``widget.js``. The two ends speak in pixels of the raster as it is stored.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from PIL import Image

from rosgeo.errors import OptionError, RosgeoError
from rosgeo.inference.crops import PADDING_RGB
from rosgeo.interactive.session import Session
from rosgeo.pictures.scene_picture import colour_of, read_picture
from rosgeo.raster.crops import CropReader
from rosgeo.raster.source import open_source
from rosgeo.types import FloatArray

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise OptionError("the widget needs anywidget; install it with: pip install 'rosgeo[jupyter]'") from error

__all__ = ["SessionWidget"]

_DECIMALS = 2
"""Of pixel coordinates on their way to the browser."""


class SessionWidget(anywidget.AnyWidget):
    """Draw boxes on the scene, correct the outlines by clicks, commit and save.

    Parameters
    ----------
    session : Session
        What is done in the widget is done to it, and the other way round after `refresh`.
    height : int
        Of the picture on the page, in pixels of the screen.
    max_side : int
        Pixels a side of the pictures that are sent, at most. Ground that is looked at closely is sent anew.
    path : str
        Where Save writes; the user may change it.

    Notes
    -----
    Drag to draw a box; shift-click where the object is, ctrl-click where it is not; the wheel zooms. Errors are shown below the picture.
    """

    _esm = Path(__file__).parent / "widget.js"

    scene = traitlets.Dict().tag(sync=True)
    detail = traitlets.Dict().tag(sync=True)
    draft = traitlets.Dict().tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)
    path = traitlets.Unicode("outlines.gpkg").tag(sync=True)
    height = traitlets.Int(520).tag(sync=True)

    def __init__(self, session: Session, *, height: int = 520, max_side: int = 1600, path: str = "outlines.gpkg") -> None:
        super().__init__(height=height, path=path)
        self.session = session
        self._max_side = max_side
        self.scene = {**self._picture(None), "size": [session.grid.width, session.grid.height]}
        self.refresh()
        self.on_msg(self._on_message)

    def refresh(self) -> None:
        """Show what the session holds, after it was changed from elsewhere."""
        draft = self.session.draft
        self.draft = {} if draft is None else {
            "rings": self._rings(draft.polygon),
            "box": self._rings(draft.box)[0],
            "points": [[*xy, bool(p)] for xy, p in zip(self._to_px(draft.points_map), draft.positive, strict=True)],
            "status": draft.status,
            "score": _number(draft.score),
        }  # fmt: skip
        result = self.session.result
        outlines = result.geometry if self.session.options.crs is None else result.to_crs(self.session.grid.crs).geometry
        own = [c for c in result.columns if not str(c).startswith("rosgeo_") and c != result.geometry.name]
        self.rows = [
            {
                "id": int(row["rosgeo_id"]),
                "status": row["rosgeo_status"],
                "score": _number(row["rosgeo_score"]),
                "area": _number(row["rosgeo_area_m2"]),
                "colour": colour_of(row["rosgeo_score"]),
                "label": ", ".join(str(row[c]) for c in own if row[c] is not None),
                "rings": self._rings(outline),
            }
            for (_, row), outline in zip(result.iterrows(), outlines, strict=True)
        ]

    def do(self, action: str, **what: Any) -> None:
        """Do what the browser asks for; what goes wrong is said in `message`.

        Parameters
        ----------
        action : {"box", "point", "undo", "clear", "commit", "save", "look"}
        **what
            Of ``box``: ``corners`` (4 numbers); of ``point``: ``at`` (2 numbers), ``positive``; of ``commit``: ``label``; of ``look``:
            ``corners`` of the ground to be sent closely. All in pixels.
        """
        actions: dict[str, Callable[..., str]] = {
            "box": self._box,
            "point": self._point,
            "undo": self._undo,
            "clear": self._clear,
            "commit": self._commit,
            "save": self._save,
            "look": self._look,
        }
        if action != "look":
            # A message that is the same as the last one is a new one all the same.
            self.message = ""
        try:
            if action not in actions:
                raise OptionError(f"the widget has no action {action!r}; it has {', '.join(actions)}")
            said = actions[action](**what)
        except RosgeoError as error:
            said = str(error)
        if action != "look":
            self.refresh()
            self.message = said

    def _on_message(self, _: Any, content: dict[str, Any], __: Any) -> None:
        if isinstance(content, dict) and "action" in content:
            self.do(**content)

    def _box(self, corners: list[float]) -> str:
        x0, y0, x1, y1 = corners
        draft = self.session.box(x0, y0, x1, y1, crs="pixel")
        return "no valid pixel in the box" if draft.status == "nodata" else ""

    def _point(self, at: list[float], positive: bool) -> str:
        x, y = at
        self.session.point(x, y, positive=positive, crs="pixel")
        return ""

    def _undo(self) -> str:
        self.session.undo()
        return ""

    def _clear(self) -> str:
        self.session.clear()
        return ""

    def _commit(self, label: str = "") -> str:
        row = self.session.commit(**({"label": label} if label else {}))
        return f"object {row} committed"

    def _save(self, overwrite: bool = False) -> str:
        return f"{len(self.session)} objects written to {self.session.save(self.path, overwrite=overwrite)}"

    def _look(self, corners: list[float]) -> str:
        self.detail = self._picture(np.array(corners, dtype=np.float64))
        return ""

    def _picture(self, around_px: FloatArray | None) -> dict[str, Any]:
        """A picture as a data URL, and its place [x0, y0, x1, y1] in pixels."""
        session = self.session
        with open_source(session.scene, session.reading) as source:
            picture = read_picture(CropReader(source, session.bands, session.stretch, PADDING_RGB), self._max_side, around_px)
        height, width = picture.valid.shape
        alpha = np.where(picture.valid, 255, 0).astype(np.uint8)
        png = BytesIO()
        Image.fromarray(np.dstack([picture.rgb, alpha])).save(png, "png")
        t = picture.to_px
        place = [t.c, t.f, t.c + width * t.a, t.f + height * t.e]
        return {"png": "data:image/png;base64," + b64encode(png.getvalue()).decode(), "place": place}

    def _rings(self, shape: Any) -> list[list[list[float]]]:
        """Rings of a polygon of the map, in pixels; none for None."""
        if shape is None:
            return []
        return [self._to_px(shapely.get_coordinates(ring)) for part in shapely.get_parts(shape) for ring in shapely.get_rings(part)]

    def _to_px(self, points_map: FloatArray) -> list[list[float]]:
        points: list[list[float]] = np.round(self.session.grid.mapping.to_px(points_map), _DECIMALS).tolist()
        return points


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None
