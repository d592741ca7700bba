"""What becomes of attributes: kinds of values, formats, and the table of the two that the guide shows, which is measured.

``python -m tests.attributes`` measures it anew and draws it into docs/guide/formats.md.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from rosgeo.errors import FormatLossWarning, OutputError
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.types import RasterGrid
from rosgeo.vector.layers.coco import Picture
from rosgeo.vector.layers.read import read_boxes
from rosgeo.vector.layers.values import column_of, python_values
from rosgeo.vector.layers.write import LAYER, check_columns, write_results

from tests.conftest import NORTH_UP

__all__ = ["FORMATS", "KINDS", "PAGE", "drawn", "measured", "plain", "table_of", "with_table", "written"]

PAGE = Path(__file__).parent.parent / "docs/guide/formats.md"
FORMATS = {
    ".gpkg": "GeoPackage",
    ".parquet": "GeoParquet",
    ".geojson": "GeoJSON",
    ".fgb": "FlatGeobuf",
    ".shp": "Shapefile",
    ".json": "COCO",
}
UTM33 = CRS.from_epsg(32633)
PICTURE = Picture("s.tif", RasterGrid(120, 160, AffineMapping(NORTH_UP), UTM33))
_MARKS = ("<!-- attributes: drawn by python -m tests.attributes -->", "<!-- /attributes -->")


def _objects(*values: Any) -> pd.Series:
    return pd.Series(values, dtype=object)


def _times(*values: Any, zone: str | None = None, unit: str = "ms") -> pd.Series:
    times = pd.Series(np.array(values, dtype=f"datetime64[{unit}]"))
    return times if zone is None else times.dt.tz_localize(zone)


_EAST, _WEST = timezone(timedelta(hours=2)), timezone(timedelta(hours=-3, minutes=-30))

KINDS: dict[str, pd.Series] = {
    "whole numbers, NULL among them": pd.Series([2**53 + 1, None, -(2**31) - 7], dtype="Int64"),
    "whole numbers of 19 digits": pd.Series([2**60 + 1, None, 2**63 - 1], dtype="Int64"),
    "whole numbers from 2^63 on": pd.Series([2**64 - 1, None, 1], dtype="UInt64"),
    "booleans, NULL among them": pd.Series([True, None, False], dtype="boolean"),
    "floating numbers": pd.Series([0.5, None, -1.25e6]),
    "floating numbers of all digits": pd.Series([0.1 + 0.2, None, 1 / 3e5]),
    "floating numbers from 1e24 on": pd.Series([1e300, None, 2.0]),
    "infinity": pd.Series([np.inf, None, -np.inf]),
    "text; numbers as text": _objects("007", None, "1e5"),
    "empty text beside NULL": _objects("", None, "x"),
    "text over 254 bytes": _objects("é" * 200, None, "x"),
    "text with a NUL character": _objects("a\0b", None, "x"),
    "dates": _objects(date(2024, 5, 1), None, date(1890, 1, 2)),
    "times, no zone": _times("2024-05-01T01:02:03", None, "2024-05-01T01:02:03.456"),
    "times, UTC": _times("2024-05-01T01:02:03", None, "1960-05-01T01:02:03.456", zone="UTC"),
    "times of several offsets": _objects(
        datetime(2024, 5, 1, 1, 2, 3, tzinfo=_EAST), None, datetime(2024, 5, 1, 1, 2, 3, tzinfo=_WEST)
    ),
    "times of a named zone": _times("2024-05-01T01:02:03", None, "2024-01-01T01:02:03", zone="Europe/Berlin"),
    "times to the microsecond": _times("2024-05-01T01:02:03.123456", None, "2024-05-01T01:02:03", unit="us"),
    "times of day": _objects(time(1, 2, 3), None, time(23, 59, 59)),
    "durations": pd.Series([timedelta(days=1, seconds=5), None, timedelta(0)]),
    "bytes": _objects(b"\x00\x01", None, b"\xff"),
    "decimals": _objects(Decimal("1.10"), None, Decimal("123456789012345678.25")),
    "lists": _objects([1, 2], None, [3]),
    "objects of the same keys": _objects({"a": 1, "b": "x"}, None, {"a": 2, "b": "y"}),
    "objects of other keys": _objects({"a": 1}, None, {"b": [True]}),
    "values of several types": _objects(1, None, "x"),
    "categories": pd.Series(pd.Categorical(["a", None, "b"])),
    "further geometries": pd.Series(gpd.GeoSeries([shapely.Point(1, 2), None, shapely.Point(3, 4)], crs=UTM33)),
    "Python's own objects": _objects(object(), None, object()),
}
"""Three values of each kind, the second missing."""


def table_of(**columns: pd.Series) -> gpd.GeoDataFrame:
    """A table with a box for each value, and the columns that COCO needs of a result."""
    count = max((len(c) for c in columns.values()), default=3)
    boxes = shapely.transform(shapely.box(np.arange(count), 0, np.arange(count) + 1.0, 2), AffineMapping(NORTH_UP).to_map)
    told = {"rosgeo_id": np.arange(count), "rosgeo_status": ["ok"] * count, "rosgeo_score": [0.5] * count}
    return gpd.GeoDataFrame({**columns, **told}, geometry=boxes, crs=UTM33)


def written(frame: gpd.GeoDataFrame, path: Path) -> list[str]:
    """Write a table; gives the clauses of the warning of what was lost."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_results(frame, [path], {"finished": ""}, picture=PICTURE)
    lost = [str(w.message) for w in caught if issubclass(w.category, FormatLossWarning)]
    assert len(lost) <= 1
    return lost[0].partition("as it is: ")[2].split("; ") if lost else []


def read_back(path: Path) -> pd.DataFrame:
    """The columns of a file that `written` made."""
    if path.suffix == ".json":
        return pd.DataFrame([a["attributes"] for a in json.loads(path.read_text(encoding="utf-8"))["annotations"]], dtype=object)
    return read_boxes(path, layer=LAYER if path.suffix == ".gpkg" else None)


def plain(series: pd.Series) -> list[Any]:
    """Values as plain Python: what is compared. Times by their moment and their offset, not by pandas' type of them."""
    column = column_of(series, "k")
    if column.python is not None:
        return column.python
    return [v.isoformat().replace("+00:00", "Z") if isinstance(v, datetime) else v for v in python_values(column.values)]


def measured(kind: str, suffix: str, folder: Path) -> str:
    """What becomes of a kind of values in a format."""
    frame, path = table_of(k=KINDS[kind]), folder / f"t{suffix}"
    try:
        check_columns(frame, path)
    except OutputError:
        return "refused"
    lost = [c for c in written(frame, path) if not c.startswith("renamed") and c.rpartition(": ")[2].startswith("k")]
    if lost:
        return ", ".join(c.partition(":")[0] for c in lost)
    before, after = plain(frame["k"]), plain(read_back(path)["k"])
    assert [type(v) for v in before] == [type(v) for v in after], (kind, suffix, before, after)
    assert before == after, (kind, suffix)
    return "kept"


def drawn() -> str:
    """The table in Markdown."""
    rows = [f"| | {' | '.join(FORMATS.values())} |", "| --- |" + " --- |" * len(FORMATS)]
    for kind in KINDS:
        cells = []
        for suffix in FORMATS:
            with tempfile.TemporaryDirectory() as folder:
                cells.append(measured(kind, suffix, Path(folder)))
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(rows)


def with_table(text: str) -> str:
    """A page with the table of today between its marks."""
    start, end = _MARKS
    before, _, rest = text.partition(start)
    return f"{before}{start}\n{drawn()}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
