"""Scenes on a server, which GDAL reads in parts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import numpy as np
import pytest
from rosgeo.errors import RasterError, RunInterruptedError
from rosgeo.outputs.mask_raster import write_mask_raster
from rosgeo.outputs.stac import write_stac
from rosgeo.run.options import SegmentOptions
from rosgeo.run.pipeline import segment_run

from tests.conftest import NORTH_UP, EllipseSegmenter, WriteRaster, px_boxes

SIDE = 1024

SERVER = """
import json, re, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

content, sent = open(sys.argv[1], "rb").read(), []

class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        path = self.path.partition("?")[0]
        ranges = path == "/parts/scene.tif"
        if path == "/sent":
            part = json.dumps(sum(sent)).encode()
        elif path.endswith("/scene.tif"):
            part = content
        else:
            return self.send_error(404)
        wanted = re.fullmatch(r"bytes=(\\d+)-(\\d+)?", self.headers.get("Range", ""))
        if wanted and ranges:
            first, last = int(wanted[1]), min(int(wanted[2] or 1 << 60), len(content) - 1)
            part = content[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        else:
            self.send_response(200)
        if ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if body:
            sent.append(len(part))
            self.wfile.write(part)

    def log_message(self, *_):
        pass

served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(served.server_port, flush=True)
served.serve_forever()
"""
"""In a process of its own: rasterio keeps Python's lock while GDAL waits for an answer."""


@pytest.fixture
def server(write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """Address of a server, and the scene that it has as ``parts/scene.tif`` and, whole only, as ``whole/scene.tif``."""
    array = np.random.default_rng(0).integers(1, 255, (3, SIDE, SIDE), dtype=np.uint8)
    scene = write_raster(array=array, tiled=True, blockxsize=128, blockysize=128)
    (tmp_path / "server.py").write_text(SERVER)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "30")
    command = [sys.executable, str(tmp_path / "server.py"), str(scene)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}", scene
        process.kill()


def test_a_scene_on_a_server_is_read_in_parts(server: tuple[str, Path]) -> None:
    address, scene = server
    boxes = px_boxes([(300, 400, 340, 430), (700, 100, 730, 160)], NORTH_UP, "EPSG:32633")
    here = segment_run(scene, boxes, SegmentOptions(), segmenter=EllipseSegmenter())  # type: ignore[arg-type]
    url = f"{address}/parts/scene.tif"
    there = segment_run(url, boxes, SegmentOptions(), segmenter=EllipseSegmenter())  # type: ignore[arg-type]
    assert there.result["rosgeo_status"].tolist() == ["ok", "ok"]
    assert there.result.geometry.geom_equals(here.result.geometry).all()
    assert there.record["inputs"]["scene"] == url
    with build_opener(ProxyHandler({})).open(f"{address}/sent", timeout=10) as answer:
        assert 0 < json.load(answer) < scene.stat().st_size / 2


def test_a_server_that_sends_no_parts_is_an_error_in_one_line(server: tuple[str, Path]) -> None:
    boxes = px_boxes([(300, 400, 340, 430)], NORTH_UP, "EPSG:32633")
    with pytest.raises(RasterError, match="Range downloading not supported") as raised:
        segment_run(f"{server[0]}/whole/scene.tif", boxes, SegmentOptions(), segmenter=EllipseSegmenter())  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


@pytest.mark.filterwarnings("ignore::rosgeo.errors.FormatLossWarning")
def test_nothing_that_is_written_holds_the_key_and_a_fresh_one_goes_on(server: tuple[str, Path], tmp_path: Path) -> None:
    base, _ = server
    address = (
        base.replace("http://", "http://me:SECRET1@")
        + "/parts/scene.tif?sp=rl&se=2026&sig=SECRET2&X-Amz-Signature=SECRET3&token=SECRET4"
    )
    folder = tmp_path / "out"
    folder.mkdir()
    outputs = [folder / f"r.{suffix}" for suffix in ("gpkg", "parquet", "geojson", "fgb", "shp", "json")]
    boxes = px_boxes([(10 + 30 * i, 10, 30 + 30 * i, 30) for i in range(3)], NORTH_UP, "EPSG:32633", n=range(3))
    run = segment_run(address, boxes.iloc[:1], SegmentOptions(), output=outputs, segmenter=EllipseSegmenter())  # type: ignore[arg-type]
    assert run.record["inputs"]["scene"] == f"{base}/parts/scene.tif"
    write_mask_raster(address, run.result, folder / "m.tif", record=run.record)
    write_stac(folder / "r.stac.json", address, run.record, outlines=[str(outputs[0])], scene_time="2024-05-01")
    assert [p.name for p in folder.iterdir() if b"SECRET" in p.read_bytes()] == []
    item = json.loads((folder / "r.stac.json").read_text())
    assert item["links"][0]["href"] == f"{base}/parts/scene.tif"
    assert item["properties"]["title"] == "Outlines of objects in scene.tif"
    fresh = f"{base}/parts/scene.tif?sp=rl&se=2027&sig=SECRET5"
    again = segment_run(fresh, boxes.iloc[:2], SegmentOptions(), output=outputs[0], segmenter=EllipseSegmenter(), append=True)  # type: ignore[arg-type]
    assert again.record["added"] == 1
    output = folder / "s.gpkg"
    many = px_boxes(
        [(10 + 9 * (i % 100), 10 + 9 * (i // 100), 18 + 9 * (i % 100), 18 + 9 * (i // 100)) for i in range(400)],
        NORTH_UP,
        "EPSG:32633",
    )

    class Stopping(EllipseSegmenter):
        def segment(self, crops: Any) -> Any:
            for i, mask in enumerate(super().segment(crops)):
                if i == 300:
                    raise KeyboardInterrupt
                yield mask

    with pytest.raises(RunInterruptedError):
        segment_run(address, many, SegmentOptions(), output=output, segmenter=Stopping())  # type: ignore[arg-type]
    (journal,) = folder.glob(".*journal")
    assert b"SECRET" not in journal.read_bytes()
    assert len(segment_run(fresh, many, SegmentOptions(), output=output, segmenter=EllipseSegmenter(), resume=True).result) == 400  # type: ignore[arg-type]
    with pytest.raises(RasterError) as caught:
        segment_run(
            f"{base.replace('http://', 'http://me:SECRET@')}/none.tif?sig=SECRET",
            many,
            SegmentOptions(),
            segmenter=EllipseSegmenter(),
        )  # type: ignore[arg-type]
    assert "SECRET" not in str(caught.value)
    assert "none.tif" in str(caught.value)
