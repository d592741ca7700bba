"""Odd grids: turned, in any CRS, tied by control points, placed by RPCs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from tests.corpus.ground import CRS, NORTH_UP, PIXEL, SHAPE, picture
from tests.corpus.kinds import kind, write

UTM_33 = rasterio.CRS.from_epsg(32633)


GRIDS = {
    "south-up": Affine(PIXEL, 0, 500_000, 0, PIXEL, 4_000_000 - 60),
    "west-up": Affine(-PIXEL, 0, 500_080, 0, -PIXEL, 4_000_000),
    "stored on its side": Affine(0, PIXEL, 500_000, -PIXEL, 0, 4_000_000),
    "rotated": Affine.translation(499_990, 3_999_985) @ Affine.rotation(25) @ Affine.scale(PIXEL, -PIXEL),
    "sheared": Affine.translation(499_975, 4_000_000) @ Affine.shear(-20, 0) @ Affine.scale(PIXEL, -PIXEL),
    "oblong pixels": Affine(PIXEL, 0, 500_000, 0, -0.3, 4_000_000),
    "a quarter of a pixel beside": Affine(PIXEL, 0, 500_000.125, 0, -PIXEL, 4_000_000.125),
}
for name, transform in GRIDS.items():

    @kind(name)
    def grid(folder: Path, transform: Affine = transform) -> Any:
        large = abs(transform.determinant) < 0.2 or transform.b != 0
        shape = (SHAPE[1], SHAPE[0]) if transform.a == 0 else (260, 260) if large else SHAPE
        return write(folder / "x.tif", picture(transform, shape), transform)


@kind("pixel is point")
def point(folder: Path) -> Any:
    path = write(folder / "x.tif", picture())
    with rasterio.open(path, "r+") as out:
        out.update_tags(AREA_OR_POINT="Point")
    return path


def _to_utm(crs: Any) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    return Transformer.from_crs(crs, CRS, always_xy=True).transform  # type: ignore[return-value]


def elsewhere(crs: Any, pixel: float) -> tuple[Affine, np.ndarray]:
    """A north-up grid in another CRS over the ground, and its picture."""
    to = Transformer.from_crs(CRS, crs, always_xy=True)
    x, y = to.transform([500_000, 500_080, 500_000, 500_080], [4_000_000, 4_000_000, 3_999_940, 3_999_940])
    shape = (int((max(y) - min(y)) / pixel) + 2, int((max(x) - min(x)) / pixel) + 2)
    t = Affine(pixel, 0, min(x), 0, -pixel, max(y))
    back = _to_utm(crs)
    return t, picture(lambda col, row: back(t.a * col + t.c, t.e * row + t.f), shape)


LOCAL_TM = "+proj=tmerc +lat_0=36 +lon_0=15.1 +k=1 +x_0=1000 +y_0=2000 +ellps=GRS80 +units=m"
for name, crs, pixel in (
    ("degrees", "EPSG:4326", 4e-6),
    ("another zone", "EPSG:32634", 0.5),
    ("Web Mercator", "EPSG:3857", 0.5),
    ("US feet", "+proj=utm +zone=33 +datum=WGS84 +units=us-ft", 1.6),
    ("CRS without a code", LOCAL_TM, 0.5),
):

    @kind(f"in {name}")
    def in_crs(folder: Path, crs: str = crs, pixel: float = pixel) -> Any:
        t, bands = elsewhere(crs, pixel)
        return write(folder / "x.tif", bands, t, rasterio.CRS.from_user_input(crs))


def _write_gcps(folder: Path, points: Callable[..., Any], side: int, shape: tuple[int, int] = SHAPE) -> str:
    path = write(folder / "x.tif", picture(points, shape), None, None)
    places = [(r, c) for r in np.linspace(0, shape[0], side) for c in np.linspace(0, shape[1], side)]
    gcps = [GroundControlPoint(r, c, *(float(v) for v in points(np.float64(c), np.float64(r)))) for r, c in places]
    with rasterio.open(path, "r+") as out:
        out.gcps = (gcps, UTM_33)
    return path


@kind("control points, affine")
def gcps_affine(folder: Path) -> Any:
    return _write_gcps(folder, lambda c, r: (500_000 + PIXEL * c, 4_000_000 - PIXEL * r), 2)


@kind("control points, bent")
def gcps_bent(folder: Path) -> Any:
    return _write_gcps(folder, lambda c, r: (500_000 + PIXEL * c + 2e-4 * c * r, 4_000_000 - PIXEL * r + 3e-4 * c * c), 5)


@kind("control points on ridges")
def gcps_ridges(folder: Path) -> Any:
    def ridges(c: Any, r: Any) -> Any:
        return 500_000 + PIXEL * (c + 5 * np.sin(4 * np.pi * c / 160) * np.cos(2 * np.pi * r / 120)), 4_000_000 - PIXEL * r

    return _write_gcps(folder, ridges, 17)


def _rpcs(height_scale: float = 200.0) -> tuple[RPC, Callable[..., Any]]:
    """RPCs of a satellite that looks aside, and what they say: longitude, latitude and height to column and row (corner 0, 0)."""
    lon, lat = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(500_040, 3_999_970)

    def terms(**values: float) -> list[float]:
        return [values.get(f"t{i}", 0.0) for i in range(20)]

    # Terms: 1, longitude, latitude, height, ...
    rpc = RPC(
        height_off=120.0, height_scale=height_scale, lat_off=lat, lat_scale=4e-4, long_off=lon, long_scale=6e-4,
        line_off=85.0, line_scale=90.0, samp_off=105.0, samp_scale=110.0,
        line_num_coeff=terms(t2=-1.0, t1=0.02, t3=0.1), line_den_coeff=terms(t0=1.0),
        samp_num_coeff=terms(t1=1.0, t2=0.03, t3=0.5), samp_den_coeff=terms(t0=1.0), err_bias=2.0, err_rand=0.5,
    )  # fmt: skip

    def ground(col: np.ndarray, row: np.ndarray, height: Any) -> tuple[np.ndarray, np.ndarray]:
        h = (height - 120.0) / height_scale
        s, n = (col - 0.5 - 105.0) / 110.0 - 0.5 * h, (row - 0.5 - 85.0) / 90.0 - 0.1 * h
        # s = u + 0.03 v, n = -v + 0.02 u
        u = (s + 0.03 * n) / (1 + 0.03 * 0.02)
        v = 0.02 * u - n
        return lon + u * 6e-4, lat + v * 4e-4

    return rpc, ground


def write_rpc(folder: Path, height: Callable[[np.ndarray, np.ndarray], Any]) -> str:
    rpc, ground = _rpcs()

    def on_map(col: np.ndarray, row: np.ndarray) -> Any:
        lonlat = ground(col, row, 120.0)
        for _ in range(60):
            lonlat = ground(col, row, height(*lonlat))
        return _to_utm("EPSG:4326")(*lonlat)

    path = write(folder / "x.tif", picture(on_map, (170, 210)), None, None)
    with rasterio.open(path, "r+") as out:
        out.rpcs = rpc
    return path


@kind("RPCs, height assumed", warns="120 m above the ellipsoid is taken")
def rpc_assumed(folder: Path) -> Any:
    return write_rpc(folder, lambda lon, lat: 120.0)


@kind("RPCs, one height", options={"height": 150.0})
def rpc_height(folder: Path) -> Any:
    return write_rpc(folder, lambda lon, lat: 150.0)


def slope(lon: Any, lat: Any) -> Any:
    """Heights that rise to the east, and do so evenly in degrees."""
    return 120.0 + (lon - 15.0) * 4e4 + (lat - 36.14) * 1e4


@kind("RPCs and a DEM", options={"dem": "dem.tif"})
def rpc_dem(folder: Path) -> Any:
    t = Affine(2e-4, 0, 14.99, 0, -2e-4, 36.16)
    col, row = np.meshgrid(np.arange(120) + 0.5, np.arange(200) + 0.5)
    heights = slope(t.a * col + t.c, t.e * row + t.f).astype(np.float32)
    write(folder / "dem.tif", heights[None], t, "EPSG:4326")
    return write_rpc(folder, slope)


@kind("picture with a world file", file=False)
def world_file(folder: Path) -> Any:
    path = write(folder / "x.png", picture(), None, None, driver="PNG")
    t = NORTH_UP @ Affine.translation(0.5, 0.5)
    (folder / "x.pgw").write_text("\n".join(repr(v) for v in (t.a, t.d, t.b, t.e, t.c, t.f)))
    (folder / "x.prj").write_text(UTM_33.to_wkt())
    Path(path + ".aux.xml").unlink(missing_ok=True)
    (folder / "x.png.aux.xml").write_text(f"<PAMDataset><SRS>{UTM_33.to_wkt()}</SRS></PAMDataset>")
    return path
