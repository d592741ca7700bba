"""Interactive work on one scene: boxes, clicks that correct the outline, undo, commit."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
from pyproj import CRS

from rosgeo.errors import OptionError
from rosgeo.interactive.drafts import Draft, Drafter, session_options
from rosgeo.raster.bands import Stretch
from rosgeo.raster.reading import Reading
from rosgeo.run.options import SegmentOptions
from rosgeo.run.record import describe_run, run_record
from rosgeo.types import RasterGrid
from rosgeo.vector.layers.write import check_output, output_driver, write_result
from rosgeo.vector.result import ObjectResult, assemble_result, refuse_clashing_columns

if TYPE_CHECKING:
    from rosgeo.inference.predict import Segmenter
    from rosgeo.interactive.widget import SessionWidget

__all__ = ["Session"]

_STEPS_KEPT = 100
"""Steps that can be undone."""


@dataclass(frozen=True)
class _State:
    """All that undo brings back."""

    draft: Draft | None = None
    rows: tuple[tuple[Draft, dict[str, Any]], ...] = ()


class Session:
    """Interactive work on one scene.

    Parameters
    ----------
    scene : path, rasterio data set or DataArray
        As for `rosgeo.segment`. A path is opened for each new box and closed again.
    segmenter : Segmenter, optional
        A model that is loaded already.
    crops_kept : int
        Encoded crops that are kept: a box whose crop is among them costs the decoder alone.
    **options
        Those of `rosgeo.segment` that concern model, picture, crop and outline: ``model``, ``device``, ``bands``, ``stretch``, ``crs``...

    Raises
    ------
    UserInputError
        Scene, model or options cannot be used.

    Notes
    -----
    Coordinates are in the raster's CRS (``crs=None``), in another one, or in pixels of the raster as it is stored (``crs="pixel"``),
    where (0, 0) is the top-left corner of the top-left pixel and y is the row. On a raster without CRS, ``crs=None`` is as for the boxes of
    `rosgeo.segment`: pixels with y = row, or where y is negative, y = -row.

    A box gives the outline that `rosgeo.segment` gives for it. Clicks then move the outline; see `rosgeo.inference.clicks`.

    Examples
    --------
    >>> session = rosgeo.Session("scene.tif")  # doctest: +SKIP
    >>> session.box(683100, 7460200, 683130, 7460240)  # doctest: +SKIP
    >>> session.point(683104, 7460203, positive=False)  # doctest: +SKIP
    >>> session.commit(kind="roof")  # doctest: +SKIP
    >>> session.save("roofs.gpkg")  # doctest: +SKIP
    """

    def __init__(self, scene: Any, *, segmenter: Segmenter | None = None, crops_kept: int = 8, **options: Any) -> None:
        self._started = time.monotonic()
        self._drafter = Drafter(scene, session_options(options), segmenter=segmenter, crops_kept=crops_kept)
        self._state = _State()
        self._history: deque[_State] = deque(maxlen=_STEPS_KEPT)

    @property
    def scene(self) -> Any:
        """The scene as it was given."""
        return self._drafter.scene

    @property
    def options(self) -> SegmentOptions:
        """The options of the session."""
        return self._drafter.options

    @property
    def grid(self) -> RasterGrid:
        """Where the pixels of the scene lie, as it is stored."""
        return self._drafter.grid

    @property
    def bands(self) -> tuple[int, int, int]:
        """The bands, from 1, that the model sees as red, green and blue."""
        return self._drafter.bands

    @property
    def reading(self) -> Reading:
        """How the scene is read, with what was found of fill values."""
        return self._drafter.reading

    @property
    def stretch(self) -> Stretch:
        """How their values become 8-bit, for all of the session."""
        return self._drafter.stretch

    @property
    def draft(self) -> Draft | None:
        """The object that is being worked on; None where there is none."""
        return self._state.draft

    def __len__(self) -> int:
        """Committed objects."""
        return len(self._state.rows)

    def box(self, x0: float, y0: float, x1: float, y1: float, crs: str | CRS | None = None) -> Draft:
        """Begin an object with a box; a draft that was not committed is given up.

        Parameters
        ----------
        x0, y0, x1, y1 : float
            Two opposite corners, in any order.
        crs : str or CRS, optional
            Of the coordinates; see `Session`.

        Raises
        ------
        OptionError
            The box has no area, is not finite, or does not lie on the raster.
        """
        return self._draft(self._drafter.begin(x0, y0, x1, y1, crs))

    def point(self, x: float, y: float, positive: bool = True, crs: str | CRS | None = None) -> Draft:
        """Say that the object is (or is not) at a point.

        Parameters
        ----------
        x, y : float
            The point, in the crop of the box: the outline may leave the box, but not the crop.
        positive : bool
            False where the object is not.
        crs : str or CRS, optional
            Of the coordinates; see `Session`.

        Returns
        -------
        Draft
            Its polygon holds the clicked pixel, or, for a negative point, does not.

        Raises
        ------
        OptionError
            There is no box yet, no picture in it, or the point is not in its crop.
        """
        if self.draft is None:
            raise OptionError("a point corrects the outline of a box; draw a box first")
        return self._draft(self._drafter.click(self.draft, x, y, positive, crs))

    def undo(self) -> Draft | None:
        """Take back the last box, point, clear or commit; gives the draft that is then there. Nothing to take back is no error."""
        if self._history:
            self._state = self._history.pop()
        return self.draft

    def clear(self) -> None:
        """Give the draft up."""
        if self.draft is not None:
            self._go_on(replace(self._state, draft=None))

    def commit(self, **attributes: Any) -> int:
        """Take the draft into the result.

        Parameters
        ----------
        **attributes
            Columns of its row; rows without them hold null there.

        Returns
        -------
        int
            Its row, from 0.

        Raises
        ------
        OptionError, BoxesError
            There is no draft; an attribute has the name of a column that rosgeo writes.
        """
        draft = self.draft
        if draft is None:
            raise OptionError("there is no object to commit; draw a box first")
        if "geometry" in attributes:
            raise OptionError("an attribute cannot be called geometry; name it otherwise")
        refuse_clashing_columns(gpd.GeoDataFrame({name: [None] for name in attributes}, geometry=[draft.box]), "the commit")
        # Without its pixels, which the history alone may still need.
        kept = replace(draft, place=replace(draft.place, crop=None, mask=None))
        self._go_on(_State(None, (*self._state.rows, (kept, dict(attributes)))))
        return len(self) - 1

    @property
    def result(self) -> gpd.GeoDataFrame:
        """The committed objects as the result of `rosgeo.segment`: one row each in order, their attributes, and rosgeo's columns."""
        rows, crs = self._state.rows, self.grid.crs
        names = list(dict.fromkeys(name for _, attributes in rows for name in attributes))
        columns = {name: [attributes.get(name) for _, attributes in rows] for name in names}
        frame = gpd.GeoDataFrame(columns, geometry=[draft.box for draft, _ in rows], crs=crs)
        objects = [ObjectResult(i, d.status, d.polygon, d.score, d.stability) for i, (d, _) in enumerate(rows)]
        return assemble_result(frame, objects, crs, self._drafter.segmenter.model.name, out_crs=self._drafter.out_crs)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the committed objects: .gpkg (with style and record), .parquet, .geojson or .fgb.

        Raises
        ------
        OptionError
            Nothing is committed.
        OutputError
            The file exists, or cannot be written.
        """
        if not len(self):
            raise OptionError("there is nothing to save; commit an object first")
        output_driver(path)
        target = check_output(path, overwrite=overwrite, inputs=(str(self.scene),) if isinstance(self.scene, str | Path) else ())
        result = self.result
        write_result(result, target, self._record(result))
        return target

    def widget(self, **options: Any) -> SessionWidget:
        """A Jupyter widget on this session; see `rosgeo.interactive.SessionWidget`."""
        # By its public name: the widget's file imports this one, so this one does not import the widget's.
        from rosgeo import interactive

        return interactive.SessionWidget(self, **options)

    def _draft(self, draft: Draft) -> Draft:
        self._go_on(replace(self._state, draft=draft))
        return draft

    def _go_on(self, state: _State) -> None:
        self._history.append(self._state)
        self._state = state

    def _record(self, result: gpd.GeoDataFrame) -> dict[str, Any]:
        clicks = [len(draft.positive) for draft, _ in self._state.rows]
        return run_record(
            interactive={"objects": len(clicks), "clicks": sum(clicks)},
            **describe_run(self.options, self._drafter.segmenter, self.bands, self.stretch),
            **self._drafter.of_scene,
            inputs={"scene": self._drafter.name},
            objects=len(result),
            counts=dict(Counter(result["rosgeo_status"])),
            seconds=time.monotonic() - self._started,
        )
