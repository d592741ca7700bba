"""Fixtures that several test modules use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from click.testing import CliRunner, Result
from hypothesis import settings
from rosgeo.geometry.mapping import AffineMapping
from rosgeo.model.checkpoint import save_model
from rosgeo.model.network import ModelConfig, RosSam
from rosgeo.types import Crop, ObjectMask

# The same examples on every run, and no deadline on machines of unknown load.
settings.register_profile("rosgeo", deadline=None, derandomize=True)
settings.load_profile("rosgeo")

DATA = Path(__file__).parent / "data"


def pytest_report_header() -> str:
    gdal = rasterio.__gdal_version__
    return f"torch {torch.__version__}, rasterio {rasterio.__version__} (GDAL {gdal}), geopandas {gpd.__version__}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in one line what was not tested for want of a program, and why."""
    from tests.qgis_site import why_not

    missed = [r for r in terminalreporter.stats.get("skipped", []) if "tests/qgis" in r.nodeid and "no QGIS" in str(r.longrepr)]
    if missed:
        terminalreporter.write_sep("!", f"NOT RUN: {len(missed)} tests of QGIS", yellow=True)
        terminalreporter.write_line(why_not())


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    """A network of the same parts as the embedded one, small enough for a test."""
    return ModelConfig(
        name="tiny",
        input_size=56,
        backbone_dim=32,
        backbone_depth=3,
        backbone_heads=2,
        position_grid=5,
        early_blocks=(0, 1),
        embed_dim=32,
        decoder_mlp_dim=32,
        detail_size=32,
    )


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tiny_config: ModelConfig) -> Path:
    """A weights file with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(RosSam(tiny_config), path)
    return path


class EllipseSegmenter:
    """Stands for a model: each object is the ellipse in its box, so that every figure can be computed by hand.

    Logits are sampled at the centres of a grid of 4 cells a pixel, as a real model's are after resampling.
    """

    device = "cpu"
    dtype = torch.float32
    model = SimpleNamespace(name="ellipse", kind="rosgeo", adapter=None, path=Path("ellipse.safetensors"), sha256="0" * 64)
    input_size = 336

    def segment(self, crops: Iterable[Crop]) -> Iterator[ObjectMask]:
        for crop in crops:
            side = crop.valid.shape[0] * 4
            centres = (np.arange(side) + 0.5) * crop.window.size / side
            x_min, y_min, x_max, y_max = crop.box_crop
            u = (centres - (x_min + x_max) / 2) / ((x_max - x_min) / 2)
            v = (centres - (y_min + y_max) / 2) / ((y_max - y_min) / 2)
            logits = (5 * (1 - np.hypot(u[None, :], v[:, None]))).astype(np.float32)
            logits[~np.repeat(np.repeat(crop.valid, 4, 0), 4, 1)] = -5
            yield ObjectMask(crop.id, crop.window, logits, 0.9, 0.8)


@pytest.fixture
def ellipse_segmenter() -> EllipseSegmenter:
    return EllipseSegmenter()


WriteRaster = Callable[..., Path]

NORTH_UP = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)


@pytest.fixture
def write_raster(tmp_path: Path) -> WriteRaster:
    """Write a GeoTIFF: ``write_raster(name, array=..., transform=..., crs=..., **profile)``."""

    def write(
        name: str = "scene.tif",
        array: np.ndarray | None = None,
        transform: Affine | None = NORTH_UP,
        crs: str | None = "EPSG:32633",
        **profile: Any,
    ) -> Path:
        if array is None:
            array = np.random.default_rng(0).integers(1, 255, (3, 120, 160), dtype=np.uint8)
        path = tmp_path / name
        georeferencing = {} if transform is None else {"transform": transform}
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=array.shape[0],
            height=array.shape[1],
            width=array.shape[2],
            dtype=array.dtype,
            crs=crs,
            **georeferencing,
            **profile,
        ) as dataset:
            dataset.write(array)
        return path

    return write


def px_boxes(
    boxes: Iterable[tuple[float, float, float, float]], transform: Affine, crs: str | None, **columns: Any
) -> gpd.GeoDataFrame:
    """Boxes given in pixels as a layer in map coordinates."""
    corners = [shapely.box(*box) for box in boxes]
    geometry = [shapely.transform(c, AffineMapping(transform).to_map) for c in corners]
    return gpd.GeoDataFrame(columns, geometry=geometry, crs=crs)


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file of this process grows over so many bytes: stands for a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python lets such a write fail; another process would end by SIGXFSZ.
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def cli() -> Callable[..., Result]:
    """Run the command line in this process: ``cli("segment", scene, boxes, ...)``."""

    def run(*arguments: object) -> Result:
        from rosgeo.cli.main import main

        return CliRunner().invoke(main, [str(a) for a in arguments], prog_name="rosgeo")

    return run


@pytest.fixture
def site(
    tmp_path: Path, cli: Callable[..., Result], tiny_model: Path, write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A folder with a scene, to run the command line in."""
    from tests.cli_site import Site

    write_raster()
    monkeypatch.chdir(tmp_path)
    return Site(tmp_path, cli, tiny_model)
