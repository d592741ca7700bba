"""Scenes on a server, which GDAL reads in parts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import numpy as np
import pytest
from rosgeo.errors import RasterError
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
        ranges = self.path == "/parts/scene.tif"
        if self.path == "/sent":
            part = json.dumps(sum(sent)).encode()
        elif self.path.endswith("/scene.tif"):
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
