"""The QGIS style that a result opens with."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

__all__ = ["TimeOfRows", "add_default_style", "result_qml"]

_CLASSES = (
    (0.0, 0.5, "215,48,39"),
    (0.5, 0.7, "252,141,89"),
    (0.7, 0.85, "254,224,80"),
    (0.85, 0.95, "145,207,96"),
    (0.95, 1.0, "26,152,80"),
)
"""Score from, to, colour: red to green (ColorBrewer RdYlGn, with a yellow that shows on bright ground)."""


@dataclass(frozen=True)
class TimeOfRows:
    """When each row of a layer is shown by QGIS's temporal controller.

    Attributes
    ----------
    column : str or None
        Of date and time, from when on. None where no time is known: the frames, by the column ``frame``, then follow each other second by
        second from 1970-01-01 on.
    seconds : float
        How long a row with a time is shown.
    first_frame : int
        Number of the frame that is shown first where no time is known.
    """

    column: str | None = None
    seconds: float = 1.0
    first_frame: int = 0

    def qml(self) -> str:
        """The element of a QML style."""
        # Modes of QgsVectorLayerTemporalProperties: 1 an instant from a field, 4 start and end from expressions.
        common = 'enabled="1" endField="" durationField="" durationUnit="ms" accumulate="0" limitMode="0"'
        fixed = "<fixedRange><start></start><end></end></fixedRange>"
        if self.column is not None:
            # A millisecond less than to the next frame: QGIS 3.22 compares times as text, and would show both at the seam.
            shown = max(1000 * self.seconds - 1, 500 * self.seconds)
            return f"""<temporal mode="1" startField={quoteattr(self.column)} fixedDuration="{shown:.10g}" {common}
  startExpression="" endExpression="">{fixed}</temporal>"""
        # Whole seconds, since make_interval of QGIS 3.22 drops what is behind the point.
        start, end = (
            f'make_datetime(1970,1,1,0,0,0) + make_interval(seconds:="frame" - {self.first_frame - after})' for after in (0, 1)
        )
        return f"""<temporal mode="4" startField="" fixedDuration="0" {common}
  startExpression={quoteattr(start)} endExpression={quoteattr(end)}>{fixed}</temporal>"""


def result_qml(time: TimeOfRows | None = None) -> str:
    """A QML style: outlines with a faint fill, coloured by `rosgeo_score` in five classes; `time` switches the temporal controller on."""
    temporal = "" if time is None else f" {time.qml()}\n"
    categories = "Symbology|MapTips" + ("" if time is None else "|Temporal")
    ranges = "\n".join(
        f'   <range symbol="{i}" lower="{low}" upper="{high}" render="true" label="score {low:.2f} - {high:.2f}"/>'
        for i, (low, high, _) in enumerate(_CLASSES)
    )
    symbols = "\n".join(_symbol(str(i), colour) for i, (_, _, colour) in enumerate(_CLASSES))
    return f"""<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" styleCategories="{categories}">
{temporal} <renderer-v2 type="graduatedSymbol" attr="rosgeo_score" graduatedMethod="GraduatedColor"
  symbollevels="0" enableorderby="0" forceraster="0">
  <ranges>
{ranges}
  </ranges>
  <symbols>
{symbols}
  </symbols>
  <source-symbol>
{_symbol("0", "145,207,96")}
  </source-symbol>
 </renderer-v2>
 <mapTip>score [% round("rosgeo_score", 3) %], [% round("rosgeo_area_m2", 1) %] m²</mapTip>
</qgis>
"""


def _symbol(name: str, colour: str) -> str:
    return f"""   <symbol type="fill" name="{name}" alpha="1" clip_to_extent="1" force_rhr="0">
    <layer class="SimpleFill" enabled="1" locked="0" pass="0">
     <prop k="color" v="{colour},50"/>
     <prop k="style" v="solid"/>
     <prop k="outline_color" v="{colour},255"/>
     <prop k="outline_style" v="solid"/>
     <prop k="outline_width" v="0.5"/>
     <prop k="outline_width_unit" v="MM"/>
     <prop k="joinstyle" v="round"/>
    </layer>
   </symbol>"""


def add_default_style(path: str | Path, layer: str, geometry_column: str, time: TimeOfRows | None = None) -> None:
    """Write the style into a GeoPackage, where QGIS looks for it.

    Parameters
    ----------
    path : path
        The GeoPackage.
    layer, geometry_column : str
        The table that it is for.
    time : TimeOfRows, optional
        See `result_qml`.

    Notes
    -----
    QGIS loads from ``layer_styles`` the row with ``useAsDefault`` for the table and the geometry column. The table is registered
    in ``gpkg_contents`` as attributes, as QGIS itself does.
    """
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            """CREATE TABLE IF NOT EXISTS layer_styles (
                id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256),
                f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
                useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
                update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"""
        )
        database.execute(
            """INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML,
                styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, ?, 'rosgeo', ?, '', 1, 'Outlines by score', '')""",
            (layer, geometry_column, result_qml(time)),
        )
        database.execute(
            """INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier)
                VALUES ('layer_styles', 'attributes', 'layer_styles')"""
        )
