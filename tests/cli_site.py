"""A folder with a scene, boxes and an old result, for the tests of the command line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import geopandas as gpd
from affine import Affine
from click.testing import Result
from shapely.geometry import Point

from tests.conftest import px_boxes

TRANSFORM = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
UTM = "EPSG:32633"
BOX = (10.0, 10.0, 30.0, 40.0)
Cli = Callable[..., Result]


class Site:
    """A folder with a scene, boxes and an old result, in which commands are run as a user would."""

    def __init__(self, folder: Path, cli: Cli, model: Path) -> None:
        self.folder, self.cli, self.model = folder, cli, model
        self.boxes([BOX], name=["a"])
        gpd.GeoDataFrame({"old": [1]}, geometry=[Point(0, 0)], crs=UTM).to_file(folder / "out.gpkg")

    def boxes(self, boxes: Sequence[tuple[float, float, float, float]], crs: str | None = UTM, **columns: object) -> Path:
        """Write ``boxes.gpkg`` with boxes in pixels of the scene."""
        return self.write(px_boxes(boxes, TRANSFORM, crs, **columns))

    def write(self, frame: gpd.GeoDataFrame, name: str = "boxes.gpkg", **options: object) -> Path:
        path = self.folder / name
        if path.suffix == ".parquet":
            frame.to_parquet(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # no CRS, mixed geometries
                frame.to_file(path, **options)
        return path

    def files(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.folder)): p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}

    def run(self, *arguments: object) -> Result:
        """Run ``rosgeo segment ARGUMENTS`` with Python's own warnings on standard error, as outside of pytest."""
        given = [str(a) for a in arguments]
        model = [] if any(a.startswith("--model") for a in given) else ["--model", self.model]
        with warnings.catch_warnings():
            warnings.resetwarnings()
            warnings.simplefilter("default")
            for hidden in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", hidden)

            def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
                sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))

            warnings.showwarning = show  # type: ignore[assignment]
            return self.cli("segment", *given, *model)

    def refuse(self, *arguments: object, words: tuple[str, ...] = ()) -> str:
        """Run a command over an old result that has to fail; gives its message."""
        given = [str(a) for a in arguments]
        if "-o" not in given:
            given += ["-o", "out.gpkg", "--overwrite"]
        before = self.files()
        result = self.run(*given)
        assert result.exit_code == 2, result.output + repr(result.exception)
        assert isinstance(result.exception, SystemExit)
        assert result.stdout == ""
        assert self.files() == before
        lines = [x for x in result.stderr.splitlines() if x.strip() and "object/s]" not in x]
        assert lines[-1].startswith("Error: "), result.stderr
        assert len(lines) == 1 or lines[0].startswith("Usage: "), result.stderr
        for word in words:
            assert word.lower() in lines[-1].lower()
        return lines[-1]

    def statuses(self, *arguments: object) -> list[str]:
        """Run a command that has to succeed; gives the status of each row."""
        result = self.run(*arguments, "-o", "ok.gpkg", "--overwrite")
        assert result.exit_code == 0, result.output
        frame = gpd.read_file(self.folder / "ok.gpkg", layer="masks")
        assert list(frame.rosgeo_id) == list(range(len(frame)))
        has_shape = frame.geometry.notna() & ~frame.geometry.is_empty
        assert list(has_shape) == [s == "ok" for s in frame.rosgeo_status]
        return list(frame.rosgeo_status)
