"""Odd layers of boxes, made by code: formats, CRSs, geometries and detectors' files as people have them.

Each holds the same four boxes as a plain layer on its scene, in some odd way, and says what is expected: the same outlines for the rows
that it names, or the words of an error.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import antimeridian
import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import rasterio
import shapely
from affine import Affine
from pyproj import CRS
from rosgeo.geometry.boxes import transform_geometries
from rosgeo.geometry.mapping import AffineMapping

__all__ = ["LAYERS", "SCENES", "OddLayer", "plain_boxes", "write_scene"]

HEIGHT, WIDTH = 120, 160
BOXES_PX = np.array([(10, 10, 30, 40), (60, 20, 100, 60), (110, 70, 150, 110), (20, 60, 50, 90)], dtype=np.float64)

_LOCAL = CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]')

SCENES: dict[str, tuple[str, Affine | None, Any]] = {
    "utm": ("scene.tif", Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), "EPSG:32633"),
    "past 180": ("past.tif", Affine(1e-3, 0, 179.92, 0, -1e-3, -10), "EPSG:4326"),
    "0 to 360": ("turn.tif", Affine(1e-3, 0, 200, 0, -1e-3, -10), "EPSG:4326"),
    "utm 1": ("utm1.tif", Affine(100, 0, 163_000, 0, -100, 1_110_000), "EPSG:32601"),
    "mercator": ("mercator.tif", Affine(100, 0, 20_037_508 - 8000, 0, -100, 1_000_000), "EPSG:3857"),
    "site": ("site.tif", Affine(0.5, 0, 1000, 0, -0.5, 2000), _LOCAL),
    "no crs": ("world.tif", Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), None),
    "picture": ("picture.png", None, None),
    "poland": ("poland.tif", Affine(1, 0, 500_000, 0, -1, 500_000), "EPSG:2180"),
    "far": ("far.tif", Affine(0.5, 0, 2e7, 0, -0.5, 9e6), _LOCAL),
}
"""Name of the file, transform and CRS."""


def write_scene(folder: Path, name: str) -> Path:
    """A scene of random pixels."""
    file, transform, crs = SCENES[name]
    array = np.random.default_rng(0).integers(1, 255, (3, HEIGHT, WIDTH), dtype=np.uint8)
    profile: dict[str, Any] = (
        {} if transform is None else {"transform": transform, "crs": None if crs is None else CRS(crs).to_wkt()}
    )
    driver = "PNG" if file.endswith(".png") else "GTiff"
    with rasterio.open(folder / file, "w", driver=driver, count=3, height=HEIGHT, width=WIDTH, dtype="uint8", **profile) as dataset:
        dataset.write(array)
    return folder / file


def plain_boxes(scene: str) -> gpd.GeoDataFrame:
    """The boxes as a layer on a scene; on a picture with y = -row."""
    _, transform, crs = SCENES[scene]
    mapping = AffineMapping(transform or Affine(1, 0, 0, 0, -1, 0))
    geometry = [shapely.transform(shapely.box(*box), mapping.to_map) for box in BOXES_PX]
    return gpd.GeoDataFrame({"name": list("abcd")}, geometry=geometry, crs=crs)


Make = Callable[[Path], Any]


@dataclass(frozen=True)
class OddLayer:
    """A layer, and what is expected of it.

    Attributes
    ----------
    name : str
    make : callable
        ``make(folder)``: the boxes, for `rosgeo.segment`.
    scene : str
        One of `SCENES`.
    rows : sequence
        For each row of the result: the number of the plain box whose outline it has, or its status where it has none.
    error, warning : str or None
        A pattern that the message has.
    options : dict
        Of `SegmentOptions`.
    columns : dict
        Columns that the result has, and their values.
    """

    name: str
    make: Make
    scene: str = "utm"
    rows: Sequence[Any] = (0, 1, 2, 3)
    error: str | None = None
    warning: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)


def _file(name: str, change: Callable[[gpd.GeoDataFrame], gpd.GeoDataFrame] = lambda f: f, scene: str = "utm", **how: Any) -> Make:
    """A layer in a file of the format of its name."""

    def make(folder: Path) -> str:
        frame, path = change(plain_boxes(scene)), folder / name
        if path.suffix == ".parquet":
            frame.to_parquet(path, **how)
        else:
            pyogrio.write_dataframe(frame, path, **how)
        return str(path)

    return make


def _text(name: str, text: Callable[[], str] | str) -> Make:
    def make(folder: Path) -> str:
        path = folder / name
        path.write_text(text if isinstance(text, str) else text(), encoding="utf-8")
        return str(path)

    return make


def _shapes(change: Callable[[Any, int], Any], scene: str = "utm") -> Make:
    """A GeoDataFrame with each geometry changed."""

    def make(folder: Path) -> gpd.GeoDataFrame:
        frame = plain_boxes(scene)
        return frame.set_geometry([change(g, i) for i, g in enumerate(frame.geometry)], crs=frame.crs)

    return make


def _dense(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Sides with vertices enough to follow another CRS."""
    low, high = frame.total_bounds[:2].min(), frame.total_bounds[2:].max()
    return frame.set_geometry(
        frame.geometry.segmentize(max((frame.total_bounds[2] - frame.total_bounds[0]) / 200, 1e-9 * (high - low)))
    )


def _in(crs: str, scene: str = "utm") -> Callable[[gpd.GeoDataFrame], gpd.GeoDataFrame]:
    def change(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        dense = _dense(frame)
        return dense.set_geometry(transform_geometries(dense.geometry.to_numpy(), dense.crs, CRS(crs)), crs=crs)

    return change


def _cut(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    cut = [shapely.geometry.shape(antimeridian.fix_shape(shapely.geometry.mapping(g), great_circle=False)) for g in frame.geometry]
    return frame.set_geometry(cut, crs=frame.crs)


def _wrapped(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return frame.set_geometry(
        shapely.transform(frame.geometry.to_numpy(), lambda c: (c + 180) % 360 * [1, 0] - [180, 0] + c * [0, 1]), crs=frame.crs
    )


def _turned(turns: int) -> Callable[[gpd.GeoDataFrame], gpd.GeoDataFrame]:
    return lambda frame: frame.set_geometry(frame.geometry.translate(xoff=360 * turns))


def _degrees(scene: str, change: Callable[[gpd.GeoDataFrame], gpd.GeoDataFrame]) -> Make:
    """The boxes of a projected scene in degrees, changed."""
    return lambda folder: change(_in("EPSG:4326", scene)(plain_boxes(scene)))


def _no_crs(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return frame.set_crs(None, allow_override=True)


def _geojson(frame: gpd.GeoDataFrame, **members: Any) -> str:
    content = json.loads(_no_crs(frame).to_json())
    content.pop("crs", None)
    return json.dumps({**content, **members})


def _ewkt_csv(shapes: Callable[[list[Any]], list[Any]] = lambda g: g, column: str = "WKT") -> str:
    frame = plain_boxes("utm")
    rows = [f'{i},"{g.wkt if g is not None else ""}"' for i, g in enumerate(shapes(list(frame.geometry)))]
    return "\n".join([f"id,{column}", *rows]) + "\n"


def _table(columns: str, values: np.ndarray = BOXES_PX, separator: str = ",", **more: list[Any]) -> str:
    frame = pd.DataFrame(values, columns=columns.split()).assign(**more)
    text: str = frame.to_csv(index=False, sep=separator)
    return text


def _xywh(centre: bool = False) -> np.ndarray:
    size = BOXES_PX[:, 2:] - BOXES_PX[:, :2]
    return np.concatenate([BOXES_PX[:, :2] + size / 2 * centre, size], axis=1)


def _corners(angle: float = 0.0) -> np.ndarray:
    """Corners (4, 4, 2) of boxes inside of those of `BOXES_PX`, in pixels."""
    x0, y0, x1, y1 = BOXES_PX.T
    xm, ym = (x0 + x1) / 2, (y0 + y1) / 2
    diamonds = [(xm, y0), (x1, ym), (xm, y1), (x0, ym)]
    upright = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    return np.stack([np.stack(c, axis=1) for c in (diamonds if angle else upright)], axis=1)


def _coco(
    names: Sequence[str] = ("scene.tif",), of: Sequence[int] = (0, 0, 0, 0), size: tuple[int, int] = (WIDTH, HEIGHT), **entry: Any
) -> str:
    annotations = [
        {"id": 10 + i, "image_id": n, "category_id": 1 + i % 2, "bbox": box.tolist(), "iscrowd": 0, **entry}
        for i, (box, n) in enumerate(zip(_xywh(), of, strict=True))
    ]
    images = [{"id": i, "file_name": name, "width": size[0], "height": size[1]} for i, name in enumerate(names)]
    return json.dumps(
        {"images": images, "categories": [{"id": 1, "name": "roof"}, {"id": 2, "name": "tree"}], "annotations": annotations}
    )


def _yolo(*more: Sequence[Any], corners: bool = False) -> str:
    shares = _corners(45).reshape(4, 8) / ([WIDTH, HEIGHT] * 4) if corners else _xywh(True) / [WIDTH, HEIGHT, WIDTH, HEIGHT]
    return "".join(" ".join(map(str, (i % 2, *row, *(m[i] for m in more)))) + "\n" for i, row in enumerate(shares.tolist()))


def _zipped(folder: Path) -> str:
    inner = _file("inner.gpkg")(folder)
    with zipfile.ZipFile(folder / "boxes.zip", "w") as archive:
        archive.write(inner, "inner.gpkg")
    return f"/vsizip/{folder}/boxes.zip/inner.gpkg"


def _yolo_folder(folder: Path) -> str:
    labels = folder / "labels"
    labels.mkdir()
    (labels / "scene.txt").write_text(_yolo())
    (labels / "other.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (labels / "classes.txt").write_text("roof\ntree\n")
    return str(labels)


def _two_layers(folder: Path) -> str:
    path = folder / "two.gpkg"
    pyogrio.write_dataframe(plain_boxes("utm"), path, layer="boxes")
    pyogrio.write_dataframe(plain_boxes("utm").iloc[:1], path, layer="others")
    return f"{path}|layername=boxes"


def _tile_result(folder: Path) -> str:
    path = _two_layers(folder)
    return path.replace("layername=boxes", "layerid=0|subset=name <> 'a'")


def _gdb(folder: Path) -> str:
    path = folder / "boxes.gdb"
    pyogrio.write_dataframe(plain_boxes("utm"), path, driver="OpenFileGDB", layer="boxes")
    return str(path)


def _detections(**more: Any) -> Make:
    """An object like supervision's Detections."""
    return lambda folder: SimpleNamespace(
        xyxy=BOXES_PX, confidence=np.array([0.9, 0.8, 0.7, 0.6]), class_id=np.array([0, 1, 0, 1]), tracker_id=None, **more
    )


def _bowtie(shape: Any, i: int) -> Any:
    x0, y0, x1, y1 = shape.bounds
    return shapely.Polygon([(x0, y0), (x1, y1), (x1, y0), (x0, y1)])


def _spiked(shape: Any, i: int) -> Any:
    x0, y0, x1, y1 = shape.bounds
    return shapely.Polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0), (x1, y1), (x0, y0)])


def _ring(shape: Any, i: int) -> Any:
    return shape.difference(shapely.affinity.scale(shape, 0.5, 0.5))


def _multi(shape: Any, i: int) -> Any:
    x0, y0, x1, y1 = shape.bounds
    w, h = (x1 - x0) / 4, (y1 - y0) / 4
    return shapely.MultiPolygon([shapely.box(x0, y0, x0 + w, y0 + h), shapely.box(x1 - w, y1 - h, x1, y1)])


_POINT, _LINE = shapely.Point(500_010, 3_999_990), shapely.LineString([(500_010, 3_999_990), (500_020, 3_999_980)])
_BOXES_MAP = np.array([g.bounds for g in plain_boxes("utm").geometry])
_LABELS = {"label": ["Tree"] * 4, "score": [0.9, 0.8, 0.7, 0.6]}
_FOUND = {"label": ["roof", "tree", "roof", "tree"]}

_FORMATS = [
    *(
        OddLayer(f"format {suffix}", _file(f"boxes.{suffix}"))
        for suffix in ("gpkg", "shp", "gml", "sqlite", "tab", "parquet", "geojson")
    ),
    OddLayer("format fgb", _file("boxes.fgb", SPATIAL_INDEX="NO")),
    OddLayer("KML, always in degrees", _file("boxes.kml", _in("EPSG:4326"), driver="KML")),
    OddLayer("a file geodatabase, a folder", _gdb),
    OddLayer("JSON-FG", _file("boxes.fgjson", driver="JSONFG")),
    OddLayer("GeoJSON, a feature a line", _file("boxes.geojsonl", _in("EPSG:4326"), driver="GeoJSONSeq")),
    OddLayer("GeoJSON with .json", _text("boxes.json", lambda: _geojson(_in("EPSG:4326")(plain_boxes("utm"))))),
    OddLayer("a layer in a zip", _zipped),
    OddLayer("a name as QGIS writes it", _two_layers),
    OddLayer("a name as QGIS writes it, with a condition", _tile_result, rows=(1, 2, 3)),
    OddLayer("two layers and no name", lambda f: _two_layers(f).partition("|")[0], error=r"2 layers \(boxes, others\)"),
    OddLayer(
        "a name with a part that is none", lambda f: _two_layers(f).replace("layername", "layr"), error="no part of a layer's name"
    ),
    OddLayer(
        "a database whose driver is missing",
        lambda f: "PG:dbname=gis password=secret",
        error=r"^PG:\.\.\.: .* no driver PostgreSQL",
    ),
    OddLayer("a CSV with WKT", _text("boxes.csv", _ewkt_csv), options={"boxes_crs": "EPSG:32633"}),
    OddLayer(
        "a CSV with WKT in a column geometry",
        _text("boxes.csv", lambda: _ewkt_csv(column="geometry")),
        options={"boxes_crs": "raster"},
    ),
    OddLayer("a CSV of no boxes", _text("boxes.csv", "a,b\n1,2\n"), error="no layer with geometries"),
]

_CRS = [
    *(
        OddLayer(f"boxes in {crs}", lambda folder, crs=crs: _in(crs)(plain_boxes("utm")))
        for crs in (
            "EPSG:4326",
            "OGC:CRS84",
            "EPSG:3857",
            "EPSG:3035",
            "EPSG:31467",
            "EPSG:5514",
            "EPSG:25833",
            "EPSG:4979",
            "ESRI:102014",
        )
    ),
    OddLayer("northing first in the CRS, a raster in it", _file("boxes.gpkg", scene="poland"), "poland"),
    OddLayer("GML with latitude first", _file("boxes.gml", _in("EPSG:4326"))),
    OddLayer(
        "a CRS without code",
        lambda f: _in("+proj=tmerc +lat_0=30 +lon_0=15 +x_0=1000 +ellps=intl +towgs84=-87,-98,-121")(plain_boxes("utm")),
    ),
    OddLayer("no CRS", _file("boxes.gpkg", _no_crs), error="has no CRS.*--boxes-crs EPSG:32633"),
    OddLayer("no CRS, said to be the raster's", _file("boxes.gpkg", _no_crs), options={"boxes_crs": "raster"}),
    OddLayer("no CRS, said", _file("boxes.shp", _no_crs), options={"boxes_crs": "EPSG:32633"}),
    OddLayer(
        "another CRS said than it has",
        _file("boxes.gpkg"),
        error="EPSG:32633, but --boxes-crs says EPSG:4326",
        options={"boxes_crs": "EPSG:4326"},
    ),
    OddLayer(
        "another CRS than the raster, said to be it",
        lambda f: _in("EPSG:4326")(plain_boxes("utm")),
        error="says the raster's, EPSG:32633",
        options={"boxes_crs": "raster"},
    ),
    OddLayer(
        "GeoJSON in metres that names no CRS",
        _text("boxes.geojson", lambda: _geojson(plain_boxes("utm"))),
        error="names no CRS.*--boxes-crs raster",
    ),
    OddLayer("the same, said", _text("boxes.geojson", lambda: _geojson(plain_boxes("utm"))), options={"boxes_crs": "EPSG:32633"}),
    OddLayer(
        "the same, said to be the raster's",
        _text("boxes.geojson", lambda: _geojson(plain_boxes("utm"))),
        options={"boxes_crs": "raster"},
    ),
    OddLayer(
        "GeoJSON that names no CRS, a column crs",
        _text("boxes.geojson", lambda: _geojson(plain_boxes("utm").assign(crs="x"))),
        options={"boxes_crs": "EPSG:32633"},
    ),
    OddLayer(
        "GeoJSON that names its CRS, another said",
        _text(
            "boxes.geojson",
            lambda: _geojson(plain_boxes("utm"), crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}),
        ),
        error="EPSG:32633, but --boxes-crs says EPSG:3857",
        options={"boxes_crs": "EPSG:3857"},
    ),
    OddLayer(
        "latitude and longitude exchanged",
        lambda f: (g := _in("EPSG:4326")(plain_boxes("utm"))).set_geometry(
            shapely.transform(g.geometry.to_numpy(), lambda c: c[:, ::-1]), crs=g.crs
        ),
        rows=["outside"] * 4,
        warning="With x and y exchanged",
    ),
    OddLayer("a site's coordinates", _file("boxes.gpkg", scene="site"), "site"),
    OddLayer(
        "a site's coordinates, no CRS",
        _file("boxes.gpkg", _no_crs, "site"),
        "site",
        warning="local coordinates 'site grid'.*coordinates of that transform",
    ),
    OddLayer(
        "a site's coordinates, said by the name", _file("boxes.gpkg", _no_crs, "site"), "site", options={"boxes_crs": "Site Grid"}
    ),
    OddLayer(
        "a site's raster and boxes of a map", _file("boxes.gpkg"), "site", error="local coordinates 'site grid'.*--boxes-crs raster"
    ),
    OddLayer(
        "a map's raster and boxes of a site",
        lambda f: plain_boxes("utm").set_crs(_LOCAL, allow_override=True),
        error="boxes|GeoDataFrame.*local coordinates 'site grid'",
    ),
    OddLayer(
        "the same, said to be the raster's",
        lambda f: plain_boxes("utm").set_crs(_LOCAL, allow_override=True),
        options={"boxes_crs": "raster"},
    ),
    OddLayer("coordinates of many digits", _file("boxes.gpkg", scene="far"), "far"),
    OddLayer("a transform without CRS", _file("boxes.gpkg", _no_crs, "no crs"), "no crs", warning="has a transform but no CRS"),
    OddLayer("a transform without CRS, said", _file("boxes.gpkg", _no_crs, "no crs"), "no crs", options={"boxes_crs": "raster"}),
    OddLayer(
        "a transform without CRS, boxes with one", _file("boxes.gpkg"), "no crs", error="has no CRS, but .*--boxes-crs raster"
    ),
    OddLayer("a transform without CRS, boxes with one, said", _file("boxes.gpkg"), "no crs", options={"boxes_crs": "raster"}),
]

_LONGITUDES = [
    *(
        OddLayer(f"{scene}, {way}", lambda folder, c=change, s=scene: c(plain_boxes(s)), scene)
        for scene in ("past 180", "0 to 360")
        for way, change in (
            ("as the raster", lambda f: f),
            ("cut at 180", _cut),
            ("from -180 to 180", _wrapped),
            ("a turn before", _turned(-1)),
            ("a turn further", _turned(1)),
        )
    ),
    OddLayer("past 180, cut, as GeoJSON", _text("boxes.geojson", lambda: _geojson(_cut(plain_boxes("past 180")))), "past 180"),
    *(
        OddLayer(f"{scene}, degrees {way}", _degrees(scene, change), scene)
        for scene in ("utm 1", "mercator")
        for way, change in (
            ("past 180", lambda f: f),
            ("cut", _cut),
            ("from -180 to 180", _wrapped),
            ("a turn before", _turned(-1)),
        )
    ),
    OddLayer("past 180, boxes in UTM", lambda f: _in("EPSG:32701", "past 180")(plain_boxes("past 180")), "past 180"),
    OddLayer("past 180, boxes in Mercator", lambda f: _in("EPSG:3857", "past 180")(plain_boxes("past 180")), "past 180"),
    OddLayer(
        "Mercator past its end, boxes a turn before",
        lambda f: plain_boxes("mercator").translate(xoff=-2 * np.pi * 6378137),
        "mercator",
    ),
    OddLayer("past 180, boxes in pixels", _text("boxes.csv", lambda: _table("xmin ymin xmax ymax")), "past 180"),
]

_SHAPES = [
    OddLayer("Z", _shapes(lambda g, i: shapely.force_3d(g, 100.0))),
    OddLayer(
        "Z that is not a number",
        _shapes(lambda g, i: shapely.from_wkt(g.wkt.replace(",", " NaN,").replace("))", " NaN))").replace("POLYGON", "POLYGON Z"))),
    ),
    OddLayer(
        "M",
        _text(
            "boxes.csv",
            lambda: _ewkt_csv(
                lambda g: [
                    SimpleNamespace(wkt="POLYGON M ((" + ", ".join(f"{x} {y} 7" for x, y in s.exterior.coords) + "))") for s in g
                ]
            ),
        ),
        options={"boxes_crs": "EPSG:32633"},
    ),
    OddLayer(
        "curves",
        _text(
            "boxes.csv", lambda: _ewkt_csv(lambda g: [SimpleNamespace(wkt=f"CURVEPOLYGON(({s.wkt.partition('((')[2]}") for s in g])
        ),
        options={"boxes_crs": "EPSG:32633"},
    ),
    OddLayer(
        "surfaces of several parts",
        _text(
            "boxes.csv",
            lambda: _ewkt_csv(lambda g: [SimpleNamespace(wkt=f"MULTISURFACE((({s.wkt.partition('((')[2]})") for s in g]),
        ),
        options={"boxes_crs": "EPSG:32633"},
    ),
    OddLayer("clockwise", _shapes(lambda g, i: g.reverse())),
    OddLayer("bow ties", _shapes(_bowtie)),
    OddLayer("spikes", _shapes(_spiked)),
    OddLayer("rings", _shapes(_ring)),
    OddLayer("several parts", _shapes(_multi)),
    OddLayer("repeated vertices", _shapes(lambda g, i: shapely.Polygon(np.repeat(np.asarray(g.exterior.coords), 3, axis=0)))),
    OddLayer("thousands of vertices", _shapes(lambda g, i: g.segmentize(0.01))),
    OddLayer("collections with a line", _shapes(lambda g, i: shapely.GeometryCollection([g, _LINE]) if i % 2 else g)),
    OddLayer(
        "collections in collections", _shapes(lambda g, i: shapely.GeometryCollection([shapely.GeometryCollection([g]), _POINT]))
    ),
    OddLayer(
        "a point and a line among boxes",
        _shapes(lambda g, i: (g, _POINT, g, _LINE)[i]),
        rows=(0, "invalid", 2, "invalid"),
        warning="2 of 4 rows are no polygons.*first in row 1",
    ),
    OddLayer("nothing but points", _shapes(lambda g, i: _POINT), error="Point geometries.*expected polygons"),
    OddLayer("null and empty", _shapes(lambda g, i: (g, None, shapely.Polygon(), g)[i]), rows=(0, "invalid", "invalid", 3)),
    OddLayer(
        "infinite and flat",
        _shapes(lambda g, i: (g, shapely.Polygon([(0, 0), (np.inf, 0), (1, 1)]), shapely.Polygon([(0, 0), (1, 1), (2, 2)]), g)[i]),
        rows=(0, "invalid", "invalid", 3),
    ),
    OddLayer(
        "far beyond the map",
        _shapes(lambda g, i: shapely.affinity.translate(g, xoff=1e12) if i else g),
        rows=(0, "outside", "outside", "outside"),
    ),
    OddLayer("the same box twice", lambda f: plain_boxes("utm").iloc[[0, 0, 1, 1]], rows=(0, 0, 1, 1)),
    OddLayer("an index of its own", lambda f: plain_boxes("utm").set_index(pd.Index(["x", "x", "y", "z"]))),
    OddLayer("another name of the geometry", _file("boxes.parquet", lambda f: f.rename_geometry("shape"))),
    OddLayer("two geometry columns", _file("boxes.parquet", lambda f: f.assign(middle=f.geometry.centroid))),
    OddLayer("no rows", lambda f: plain_boxes("utm").iloc[:0], error="holds no boxes"),
]

_PIXELS = [
    OddLayer("pixels, y = row", lambda f: gpd.GeoDataFrame(geometry=shapely.box(*BOXES_PX.T)), "picture"),
    OddLayer("pixels, y = -row", lambda f: _no_crs(plain_boxes("picture")), "picture"),
    OddLayer(
        "pixels in GeoJSON",
        _text("boxes.geojson", lambda: _geojson(plain_boxes("picture"))),
        "picture",
        options={"boxes_crs": "pixel"},
    ),
    OddLayer(
        "pixels of a raster with CRS", lambda f: gpd.GeoDataFrame(geometry=shapely.box(*BOXES_PX.T)), options={"boxes_crs": "pixel"}
    ),
    OddLayer(
        "pixels on both sides of 0",
        lambda f: gpd.GeoDataFrame(geometry=shapely.box(*(BOXES_PX - [0, 50, 0, 50]).T)),
        "picture",
        error="not clear which way y",
    ),
    OddLayer(
        "pixels with a CRS that means nothing",
        lambda f: gpd.GeoDataFrame(geometry=shapely.box(*BOXES_PX.T), crs=4326),
        "picture",
        error="pass --boxes-crs raster .*--boxes-crs pixel",
    ),
]

_DETECTORS = [
    OddLayer(
        "DeepForest",
        _text("boxes.csv", lambda: _table("xmin ymin xmax ymax", **_LABELS, image_path=["scene.tif"] * 4)),
        columns=_LABELS,
    ),
    OddLayer(
        "DeepForest with other pictures",
        _text("boxes.csv", lambda: _table("xmin ymin xmax ymax", image_path=["scene.png", "b.tif", "scene.png", "b.tif"])),
        rows=(0, 2),
    ),
    OddLayer(
        "DeepForest of another picture",
        _text("boxes.csv", lambda: _table("xmin ymin xmax ymax", image_path=["b.tif"] * 4)),
        error=r"boxes of b\.tif, and none of scene\.tif.*--where",
    ),
    OddLayer(
        "the same, chosen",
        _text("boxes.csv", lambda: _table("xmin ymin xmax ymax", image_path=["b.tif"] * 4)),
        options={"where": "image_path = 'b.tif'"},
    ),
    OddLayer(
        "two pictures of one name",
        _text("boxes.csv", lambda: _table("xmin ymin xmax ymax", image_path=["a/scene.tif", "b/scene.tif"] * 2)),
        error="several pictures that may be",
    ),
    OddLayer("semicolons and spaces in names", _text("boxes.csv", lambda: _table("X_Min Y-Min X.Max YMAX", separator=";"))),
    OddLayer("tabs", _text("boxes.tsv", lambda: _table("left top right bottom", separator="\t"))),
    OddLayer("x0 y0 x1 y1", _text("boxes.csv", lambda: _table("x0 y0 x1 y1"))),
    OddLayer("x1 y1 x2 y2 with a byte-order mark", _text("boxes.csv", lambda: "\ufeff" + _table("x1 y1 x2 y2"))),
    OddLayer("left, top, width, height", _text("boxes.csv", lambda: _table("left top width height", _xywh()))),
    OddLayer("x, y, w, h", _text("boxes.csv", lambda: _table("x y w h", _xywh()))),
    OddLayer(
        "x, y, w, h, said to be the centre",
        _text("boxes.csv", lambda: _table("x y w h", _xywh(True))),
        options={"box_format": "cxcywh"},
    ),
    OddLayer(
        "x, y, w, h that are the centre",
        _text("boxes.csv", lambda: _table("x y w h", np.add(_xywh(True), [0, 0, 0, 15]))),
        error="--format cxcywh",
    ),
    OddLayer("cx cy w h", _text("boxes.csv", lambda: _table("cx cy w h", _xywh(True)))),
    OddLayer("four corners", _text("boxes.csv", lambda: _table("x1 y1 x2 y2 x3 y3 x4 y4", _corners().reshape(4, 8)))),
    OddLayer(
        "a table in the coordinates of the map",
        _text("boxes.csv", lambda: _table("xmin ymin xmax ymax", _BOXES_MAP)),
        warning="taken as coordinates of",
    ),
    OddLayer(
        "the same, said", _text("boxes.csv", lambda: _table("xmin ymin xmax ymax", _BOXES_MAP)), options={"boxes_crs": "EPSG:32633"}
    ),
    OddLayer(
        "shares of the picture",
        _text("boxes.csv", lambda: _table("xmin ymin xmax ymax", BOXES_PX / [WIDTH, HEIGHT, WIDTH, HEIGHT])),
        warning="shares of the 160 x 120 px",
    ),
    OddLayer(
        "empty cells",
        _text("boxes.csv", lambda: _table("xmin ymin xmax ymax", np.where(np.arange(4)[:, None] == 1, np.nan, BOXES_PX))),
        rows=(0, "invalid", 2, 3),
    ),
    OddLayer(
        "a maximum below its minimum",
        _text(
            "boxes.csv",
            lambda: _table("xmin ymin xmax ymax", np.where(np.arange(4)[:, None] == 1, BOXES_PX[:, [2, 3, 0, 1]], BOXES_PX)),
        ),
        rows=(0, "invalid", 2, 3),
    ),
    OddLayer(
        "a cell that is no number",
        _text("boxes.csv", "xmin,ymin,xmax,ymax\n1,2,3,4\n1,2,x,4\n"),
        error="row 1: 'x' in column xmax is no number",
    ),
    OddLayer(
        "numbers without names",
        _text("boxes.txt", "10 10 30 40\n60 20 100 60\n"),
        error="rows of numbers without names.*--format xyxy",
    ),
    OddLayer(
        "numbers without names, said",
        _text("boxes.txt", lambda: "\n".join(" ".join(map(str, b)) for b in BOXES_PX)),
        options={"box_format": "xyxy"},
    ),
    OddLayer(
        "a Parquet table",
        lambda f: (
            pd.DataFrame(BOXES_PX, columns=["xmin", "ymin", "xmax", "ymax"]).assign(**_LABELS).to_parquet(f / "boxes.parquet"),
            str(f / "boxes.parquet"),
        )[1],
        columns=_LABELS,
    ),
    OddLayer(
        "a list of objects with a box each",
        _text(
            "boxes.json",
            lambda: json.dumps(
                [
                    {"name": "roof", "confidence": 0.5, "box": dict(zip(("x1", "y1", "x2", "y2"), b, strict=True))}
                    for b in BOXES_PX.tolist()
                ]
            ),
        ),
        columns={"name": ["roof"] * 4},
    ),
    OddLayer("COCO", _text("coco.json", _coco), columns=_FOUND),
    OddLayer("COCO of several pictures", _text("coco.json", lambda: _coco(("x/scene.jpg", "b.tif"), (0, 1, 0, 1))), rows=(0, 2)),
    OddLayer(
        "COCO of other pictures",
        _text("coco.json", lambda: _coco(("a.tif", "b.tif"), (0, 1, 0, 1))),
        error=r"boxes of a\.tif, b\.tif, and none of scene\.tif",
    ),
    OddLayer("COCO of one picture by another name", _text("coco.json", lambda: _coco(("a.tif",)))),
    OddLayer(
        "COCO of a picture of another size",
        _text("coco.json", lambda: _coco(size=(320, 240))),
        error="320 x 240 px, but scene.tif has 160 x 120",
    ),
    OddLayer(
        "COCO detections",
        _text(
            "found.json", lambda: json.dumps([{"image_id": 7, "category_id": 1, "bbox": b, "score": 0.5} for b in _xywh().tolist()])
        ),
        columns={"score": [0.5] * 4},
    ),
    OddLayer(
        "COCO detections by the name of the file",
        _text(
            "found.json",
            lambda: json.dumps(
                [{"image_id": n, "category_id": 1, "bbox": b} for n, b in zip(["scene", "b"] * 2, _xywh().tolist(), strict=True)]
            ),
        ),
        rows=(0, 2),
    ),
    OddLayer(
        "COCO detections of two pictures",
        _text(
            "found.json",
            lambda: json.dumps(
                [{"image_id": n, "category_id": 1, "bbox": b} for n, b in zip([1, 2] * 2, _xywh().tolist(), strict=True)]
            ),
        ),
        error="boxes of 1, 2, and none of scene",
    ),
    OddLayer(
        "COCO with a CRS said", _text("coco.json", _coco), error="in pixels by its format", options={"boxes_crs": "EPSG:32633"}
    ),
    OddLayer(
        "COCO with a box of three numbers",
        _text("coco.json", lambda: _coco(bbox=[1, 2, 3])),
        error=r"annotation 0: the bbox is \[1, 2, 3\]",
    ),
    OddLayer("YOLO", _text("scene.txt", _yolo), columns={"class_id": [0, 1, 0, 1]}),
    OddLayer(
        "YOLO with confidence", _text("scene.txt", lambda: _yolo([0.9, 0.8, 0.7, 0.6])), columns={"score": [0.9, 0.8, 0.7, 0.6]}
    ),
    OddLayer(
        "YOLO with confidence and id",
        _text("scene.txt", lambda: _yolo([0.9] * 4, [1, 2, 3, 4])),
        columns={"track_id": [1, 2, 3, 4]},
    ),
    OddLayer("YOLO, oriented", _text("scene.txt", lambda: _yolo(corners=True))),
    OddLayer(
        "YOLO, oriented, with confidence", _text("scene.txt", lambda: _yolo([0.9] * 4, corners=True)), columns={"score": [0.9] * 4}
    ),
    OddLayer("a folder of YOLO files, with names", _yolo_folder, columns=_FOUND),
    OddLayer(
        "YOLO said, in pixels",
        _text("scene.txt", lambda: "0 10 10 30 40\n"),
        error="not between 0 and 1.*--format cxcywh",
        options={"box_format": "yolo"},
    ),
    OddLayer("an array", lambda f: BOXES_PX.copy()),
    OddLayer("an array in the coordinates of the map", lambda f: _BOXES_MAP.copy(), warning="taken as coordinates of"),
    OddLayer("an array of sizes", lambda f: _xywh(), options={"box_format": "xywh"}),
    OddLayer("a list of tuples", lambda f: [tuple(b) for b in BOXES_PX.tolist()]),
    OddLayer("a list of polygons", lambda f: list(plain_boxes("utm").geometry), options={"boxes_crs": "raster"}),
    OddLayer("a GeoSeries", lambda f: plain_boxes("utm").geometry),
    OddLayer(
        "a DataFrame", lambda f: pd.DataFrame(BOXES_PX, columns=["xmin", "ymin", "xmax", "ymax"]).assign(**_LABELS), columns=_LABELS
    ),
    OddLayer(
        "detections",
        _detections(data={"class_name": np.array(["roof", "tree"] * 2)}),
        columns={**_FOUND, "score": [0.9, 0.8, 0.7, 0.6], "class_id": [0, 1, 0, 1]},
    ),
    OddLayer("oriented detections", _detections(data={"xyxyxyxy": _corners(45)})),
    OddLayer("an array of three columns", lambda f: BOXES_PX[:, :3], error=r"boxes of the shape \(4, 3\); expected"),
    OddLayer("a number", lambda f: 7, error=r"boxes of the shape|are a int"),
]

LAYERS: list[OddLayer] = [*_FORMATS, *_CRS, *_LONGITUDES, *_SHAPES, *_PIXELS, *_DETECTORS]
