"""``rosgeo models``: weights by name, fetched from a server on this machine that behaves as badly as servers do."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from rosgeo.cli.models import DownloadBar
from rosgeo.errors import DownloadError, ModelError
from rosgeo.model import download as download_module
from rosgeo.model.checkpoint import load_model, save_model, sha256_of
from rosgeo.model.download import download
from rosgeo.model.network import RosSam
from rosgeo.model.registry import MODELS, ModelEntry, cache_dir, entry_of, resolve_model
from safetensors import safe_open

Cli = Callable[..., Result]

WEIGHTS = np.random.default_rng(0).bytes(300_000)
HALF = len(WEIGHTS) // 2
FAKE = ModelEntry(
    name="fake-vit-b",
    description="Random bytes",
    file="fake_vit_b.pth",
    url="https://weights.invalid/models/fake_vit_b.pth",
    hash=f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}",
    size=None,
    licence="Apache-2.0; a test",
    source="https://weights.invalid/licence",
)


class Server(ThreadingHTTPServer):
    """Serves `content` under every path, as its switches say."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = WEIGHTS
        self.status = 0
        self.ranges, self.lengths, self.wrong_range, self.redirects = True, True, False, False
        self.chunked = False
        self.stop_after: int | None = None
        self.stall_s = 0.0
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.seen.append((self.path, wanted))
        if server.redirects and self.path != "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
        if first >= len(server.content):
            self.send_response(416)
        else:
            self.send_response(server.status or (206 if first else 200))
        if first:
            start = 0 if server.wrong_range else first
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        body = server.content[first:] if first < len(server.content) else b""
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        elif server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.close_connection = True
        self.wfile.write(body[: server.stop_after])
        self.wfile.flush()
        time.sleep(server.stall_s)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and FAKE among the models."""
    monkeypatch.setitem(MODELS, FAKE.name, FAKE)
    monkeypatch.setenv("ROSGEO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ROSGEO_OFFLINE", raising=False)
    monkeypatch.delenv("ROSGEO_MODELS_URL", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path / "cache"


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as one:
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("ROSGEO_MODELS_URL", f"{one.url}/mirror/")
        yield one
        one.shutdown()


@pytest.fixture
def models(cli: Cli, cache: Path) -> Cli:
    """Run ``rosgeo models ARGUMENTS``."""
    return lambda *arguments: cli("models", *arguments)


def refused(result: Result, code: int, *words: object) -> str:
    """The one line of a command that has to fail."""
    assert result.exit_code == code, result.output + repr(result.exception)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    for word in words:
        assert str(word) in lines[0]
    return lines[0]


def by_hand(cache: Path) -> str:
    return f"put {FAKE.file} from {FAKE.url} at {cache / FAKE.file}"


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


# ---------------------------------------------------------------- the download


def test_download(models: Cli, server: Server, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    result = models("download", FAKE.name)
    assert result.exit_code == 0, result.output
    assert (cache / FAKE.file).read_bytes() == WEIGHTS
    assert names(cache) == [FAKE.file]
    assert server.seen == [(f"/mirror/{FAKE.file}", None)]
    assert "Apache-2.0; a test" in result.stdout
    assert FAKE.source in result.stdout
    assert result.stdout.splitlines()[-1] == str(cache / FAKE.file)
    assert result.stderr == ""
    assert [r for r in caplog.records if r.name == "pooch"] == []


def test_already_downloaded(models: Cli, server: Server, cache: Path) -> None:
    models("download", FAKE.name)
    result = models("download", FAKE.name)
    assert result.exit_code == 0
    assert "already downloaded" in result.stdout
    assert result.stdout.splitlines()[-1] == str(cache / FAKE.file)
    assert len(server.seen) == 1


def test_the_embedded_model_needs_no_download(models: Cli, server: Server) -> None:
    result = models("download", "rosgeo-small")
    assert (result.exit_code, server.seen) == (0, [])
    assert result.stdout.splitlines()[-1] == str(MODELS["rosgeo-small"].path)


def test_a_file_with_another_hash_is_replaced(models: Cli, server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / FAKE.file).write_bytes(WEIGHTS[:-1])
    result = models("download", FAKE.name)
    assert result.exit_code == 0
    assert "another hash" in result.stdout
    assert (cache / FAKE.file).read_bytes() == WEIGHTS


def test_md5(server: Server, cache: Path) -> None:
    entry = replace(FAKE, hash=f"md5:{hashlib.md5(WEIGHTS).hexdigest()}")
    assert download(entry).read_bytes() == WEIGHTS


def test_progress_starts_at_what_is_there(server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{FAKE.file}.part").write_bytes(WEIGHTS[:HALF])
    calls: list[tuple[int, int | None]] = []
    download(FAKE, progress=lambda done, total: calls.append((done, total)))
    assert (calls[0], calls[-1]) == ((HALF, len(WEIGHTS)), (len(WEIGHTS), len(WEIGHTS)))


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    with DownloadBar(FAKE.file) as progress:
        progress(HALF, len(WEIGHTS))
        progress(len(WEIGHTS), len(WEIGHTS))
    assert f"{FAKE.file}:  50%" in terminal.getvalue()
    assert f"{FAKE.file}: 100%" in terminal.getvalue()


@pytest.mark.parametrize(("lengths", "size"), [(True, None), (True, len(WEIGHTS)), (False, len(WEIGHTS))])
def test_a_connection_that_breaks_and_goes_on(
    models: Cli, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, lengths: bool, size: int | None
) -> None:
    monkeypatch.setitem(MODELS, FAKE.name, replace(FAKE, size=size))
    server.lengths, server.stop_after = lengths, HALF
    part = cache / f"{FAKE.file}.part"
    result = models("download", FAKE.name)
    have = part.stat().st_size
    assert HALF - download_module.BLOCK < have <= HALF
    assert part.read_bytes() == WEIGHTS[:have]
    refused(result, 1, FAKE.name, "broke", "too early", f"{have:,} bytes", part, f"rosgeo models download {FAKE.name}")
    assert names(cache) == [part.name]

    server.stop_after = None
    assert models("download", FAKE.name).exit_code == 0
    assert server.seen[-1] == (f"/mirror/{FAKE.file}", f"bytes={have}-")
    assert (cache / FAKE.file).read_bytes() == WEIGHTS
    assert names(cache) == [FAKE.file]


def test_a_file_of_unknown_length_that_breaks_off(models: Cli, server: Server, cache: Path) -> None:
    server.chunked, server.stop_after = True, HALF
    refused(models("download", FAKE.name), 1, "broke", "too early", f"{FAKE.file}.part")
    server.stop_after = None
    assert models("download", FAKE.name).exit_code == 0
    assert (cache / FAKE.file).read_bytes() == WEIGHTS


def test_a_server_that_stops_sending(models: Cli, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "TIMEOUTS_S", (5, 0.2))
    server.stop_after, server.stall_s = HALF, 1.0
    refused(models("download", FAKE.name), 1, "broke", "timed out", f"{FAKE.file}.part")
    assert (cache / f"{FAKE.file}.part").stat().st_size > HALF - download_module.BLOCK


def test_going_on_behind_a_redirection(models: Cli, server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{FAKE.file}.part").write_bytes(WEIGHTS[:HALF])
    server.redirects = True
    assert models("download", FAKE.name).exit_code == 0
    assert server.seen[-1] == ("/elsewhere", f"bytes={HALF}-")
    assert (cache / FAKE.file).read_bytes() == WEIGHTS


@pytest.mark.parametrize("kind", ["no ranges", "another range"])
def test_a_server_that_cannot_go_on_starts_over(models: Cli, server: Server, cache: Path, kind: str) -> None:
    cache.mkdir()
    (cache / f"{FAKE.file}.part").write_bytes(WEIGHTS[:HALF])
    server.ranges, server.wrong_range = kind != "no ranges", kind == "another range"
    assert models("download", FAKE.name).exit_code == 0
    assert [wanted for _, wanted in server.seen] == [f"bytes={HALF}-", None][: 1 if kind == "no ranges" else 2]
    assert (cache / FAKE.file).read_bytes() == WEIGHTS


def test_a_part_longer_than_the_file_starts_over(models: Cli, server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{FAKE.file}.part").write_bytes(WEIGHTS + b"more")
    assert models("download", FAKE.name).exit_code == 0
    assert [wanted for _, wanted in server.seen] == [f"bytes={len(WEIGHTS) + 4}-", None]
    assert (cache / FAKE.file).read_bytes() == WEIGHTS


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_wrong_hash(models: Cli, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    entry = replace(FAKE, hash=f"{algorithm}:{hashlib.new(algorithm, WEIGHTS).hexdigest()}")
    monkeypatch.setitem(MODELS, FAKE.name, entry)
    server.content = WEIGHTS[::-1]
    found = hashlib.new(algorithm, server.content).hexdigest()
    refused(models("download", FAKE.name), 1, FAKE.name, f"expected {entry.hash}", f"found {found}", "removed")
    assert names(cache) == []
    refused(models("path", FAKE.name), 2, FAKE.name)


def test_another_length_than_expected_leaves_the_part(
    models: Cli, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, FAKE.name, replace(FAKE, size=len(WEIGHTS)))
    cache.mkdir()
    (cache / f"{FAKE.file}.part").write_bytes(WEIGHTS[:HALF])
    server.content, server.ranges = b"<html>Please log in</html>", False
    refused(models("download", FAKE.name), 1, "26 bytes", "300,000", by_hand(cache))
    assert (cache / f"{FAKE.file}.part").read_bytes() == WEIGHTS[:HALF]


@pytest.mark.parametrize("status", [404, 403, 503])
def test_a_server_that_refuses(models: Cli, server: Server, cache: Path, status: int) -> None:
    server.status = status
    refused(models("download", FAKE.name), 1, f"answers {status}", server.url, "ROSGEO_MODELS_URL", by_hand(cache))
    assert names(cache) == []


def test_connection_refused(models: Cli, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ROSGEO_MODELS_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    refused(models("download", FAKE.name), 1, "cannot be reached", "refused", by_hand(cache))


def test_no_network(models: Cli, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    line = refused(
        models("download", FAKE.name), 1, "weights.invalid cannot be reached (Name or service not known)", by_hand(cache)
    )
    assert "ROSGEO_MODELS_URL" not in line


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "not a url", "http://"])
def test_a_mirror_that_is_none(models: Cli, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ROSGEO_MODELS_URL", url)
    refused(models("download", FAKE.name), 1, "ROSGEO_MODELS_URL")


@pytest.mark.parametrize("value", ["1", "yes", "0", "false", "False", ""])
def test_offline(models: Cli, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ROSGEO_OFFLINE", value)
    result = models("download", FAKE.name)
    if value in ("1", "yes"):
        refused(result, 1, "ROSGEO_OFFLINE", by_hand(cache))
        assert server.seen == []
        cache.mkdir()
        (cache / FAKE.file).write_bytes(WEIGHTS)
        assert download(FAKE) == cache / FAKE.file
        result = models("download", FAKE.name)
    assert result.exit_code == 0, result.output


def test_a_file_where_the_cache_should_be(models: Cli, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_bytes(b"")
    refused(models("download", FAKE.name), 1, cache, "a file is where the folder should be", "ROSGEO_CACHE")
    monkeypatch.setenv("ROSGEO_CACHE", str(cache / "deeper"))
    refused(models("download", FAKE.name), 1, cache, "ROSGEO_CACHE")
    assert server.seen == []


def test_a_part_that_cannot_be_written(models: Cli, server: Server, cache: Path) -> None:
    (cache / f"{FAKE.file}.part").mkdir(parents=True)  # cannot be opened for writing, whoever runs the test
    refused(models("download", FAKE.name), 1, f"{FAKE.file}.part", "cannot be read or written", "ROSGEO_CACHE")


def test_errors_are_also_the_builtin_ones(server: Server) -> None:
    server.status = 404
    with pytest.raises(OSError, match="404"):
        download(FAKE)
    assert issubclass(DownloadError, OSError)


# ---------------------------------------------------------------- names


def test_unknown_names(models: Cli, server: Server) -> None:
    for command in ("download", "info", "path"):
        refused(models(command, "sam_vit_bb"), 2, "'sam_vit_bb'", "rosgeo-small", "Did you mean 'sam-vit-b'?")
    assert "Did you mean" not in refused(models("info", "zzz"), 2, "'zzz'", "sam-hq-vit-h")
    refused(models("download", FAKE.name, "fake-vit-x"), 2, "'fake-vit-x'", f"Did you mean '{FAKE.name}'?")
    assert server.seen == []  # all names are looked at first


def test_nothing_is_downloaded_unasked(models: Cli, cli: Cli, server: Server, cache: Path) -> None:
    with pytest.raises(ModelError, match=f"run rosgeo models download {FAKE.name}, or put"):
        resolve_model(FAKE.name)
    refused(models("path", FAKE.name), 2, f"rosgeo models download {FAKE.name}", by_hand(cache))
    assert server.seen == []
    cache.mkdir()
    (cache / FAKE.file).write_bytes(WEIGHTS)
    assert resolve_model(FAKE.name) == cache / FAKE.file
    assert models("path", FAKE.name).output == f"{cache / FAKE.file}\n"


def test_path_takes_no_paths(models: Cli, tiny_model: Path) -> None:
    refused(models("path", tiny_model), 2, "unknown model")


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROSGEO_CACHE", "weights")
    assert cache_dir() == tmp_path / "weights"
    monkeypatch.setenv("ROSGEO_CACHE", "~/weights")
    assert cache_dir() == Path.home() / "weights"
    monkeypatch.setenv("ROSGEO_CACHE", "")
    assert cache_dir().parts[-1].lower() in ("rosgeo", "cache")  # the system's
    assert entry_of("sam-vit-h").path.parent == cache_dir()


def test_entries() -> None:
    for name, entry in MODELS.items():
        assert entry.name == name
        if entry.embedded:
            assert entry.path.is_file()
            assert Path(entry.source).is_file()
        else:
            algorithm, _, digest = entry.hash.partition(":")
            assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]
            assert entry.url == f"{entry.url.rsplit('/', 1)[0]}/{entry.file}"
            assert entry.url.startswith("https://")
            assert entry.source.startswith("https://")
    assert len({entry.file for entry in MODELS.values()}) == len({entry.hash for entry in MODELS.values()}) == len(MODELS)


def test_list(models: Cli, cache: Path) -> None:
    rows = models("list").stdout.splitlines()
    assert rows[0].split() == ["NAME", "SIZE", "STATE", "LICENCE", "DESCRIPTION"]
    assert [row.split()[0] for row in rows[1:]] == list(MODELS)
    table = {row.split()[0]: row for row in rows[1:]}
    assert f"{MODELS['rosgeo-small'].path.stat().st_size / 1e6:.1f} MB   embedded " in table["rosgeo-small"]
    assert "2.56 GB   not downloaded  Apache-2.0 " in table["sam-vit-h"]
    assert " -  " in table[FAKE.name]
    cache.mkdir()
    (cache / FAKE.file).write_bytes(WEIGHTS)
    assert "0.3 MB    downloaded " in models("list").stdout.splitlines()[-1]


def test_list_as_json(models: Cli, cache: Path) -> None:
    facts = {one["name"]: one for one in json.loads(models("list", "--json").stdout)}
    assert list(facts) == list(MODELS)
    assert facts[FAKE.name] == {
        "name": FAKE.name,
        "description": FAKE.description,
        "state": "not downloaded",
        "licence": FAKE.licence,
        "source": FAKE.source,
        "url": FAKE.url,
        "file": FAKE.file,
        "size": None,
        "hash": FAKE.hash,
        "path": str(cache / FAKE.file),
    }


def test_info(models: Cli, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = models("info", FAKE.name).stdout
    for part in (FAKE.name, FAKE.description, "not downloaded", FAKE.licence, FAKE.source, FAKE.url, FAKE.hash, "not known", cache):
        assert str(part) in text
    small = models("info", "rosgeo-small").stdout
    assert f"sha256:{sha256_of(MODELS['rosgeo-small'].path)}" in small
    assert "research only" in small
    assert "url" not in small
    monkeypatch.setenv("ROSGEO_MODELS_URL", "http://mirror.invalid/m")
    assert f"http://mirror.invalid/m/{FAKE.file}" in models("info", FAKE.name).stdout


def test_names_load_no_torch() -> None:
    program = (
        "import sys\nfrom rosgeo.cli.main import main\n"
        "main(['models', 'list'], standalone_mode=False)\nprint('torch' in sys.modules, 'requests' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("False False", "")


# ---------------------------------------------------------------- files of the user's own


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
def test_convert(models: Cli, tiny_model: Path, tmp_path: Path, dtype: str) -> None:
    out = tmp_path / "out.safetensors"
    result = models("convert", tiny_model, out, "--dtype", dtype)
    assert result.exit_code == 0, result.output
    for word in (out, "tiny", dtype, "MB"):
        assert str(word) in result.stdout
    assert [p.name for p in tmp_path.iterdir()] == [out.name]
    with safe_open(out, "pt") as file:
        assert {str(file.get_tensor(key).dtype) for key in file.keys()} == {f"torch.{dtype}"}  # noqa: SIM118
    before, after = load_model(tiny_model), load_model(out)
    for (name, one), other in zip(before.network.state_dict().items(), after.network.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-6, msg=name)
    assert after.card["converted_from"] == {"file": tiny_model.name, "sha256": before.sha256}


def test_convert_has_a_default_type(models: Cli, tiny_model: Path, tmp_path: Path) -> None:
    assert "float16" in models("convert", tiny_model, tmp_path / "out.safetensors").stdout


def test_convert_refuses(models: Cli, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    refused(models("convert", tiny_model, tmp_path / "out.pth"), 2, "out.pth", ".safetensors")
    refused(models("convert", tmp_path / "missing.pth", out), 2, "missing.pth")
    refused(models("convert", tiny_model, tmp_path / "nowhere" / "out.safetensors"), 2, "nowhere")
    refused(models("convert", tiny_model, tiny_model, "--overwrite"), 2, tiny_model, "input")
    (tmp_path / "foreign.pth").write_bytes(b"no weights")
    refused(models("convert", tmp_path / "foreign.pth", out), 2, "foreign.pth")
    refused(models("convert", FAKE.name, out), 2, f"rosgeo models download {FAKE.name}")
    assert not out.exists()
    out.write_bytes(b"old")
    refused(models("convert", tiny_model, out), 2, out, "--overwrite")
    assert out.read_bytes() == b"old"
    assert models("convert", tiny_model, out, "--overwrite").exit_code == 0
    assert load_model(out).name == "tiny"


def test_convert_looks_for_numbers_that_the_type_does_not_reach(models: Cli, tiny_model: Path, tmp_path: Path) -> None:
    network: RosSam = load_model(tiny_model).network
    first = next(network.parameters())
    first.view(-1)[0] = 1e6
    save_model(network, tmp_path / "big.safetensors", dtype=torch.float32)
    refused(
        models("convert", tmp_path / "big.safetensors", tmp_path / "out.safetensors"), 2, "big.safetensors", "1e+06", "bfloat16"
    )
    assert names(tmp_path) == ["big.safetensors"]
    assert models("convert", tmp_path / "big.safetensors", tmp_path / "out.safetensors", "--dtype", "bfloat16").exit_code == 0


def test_verify_a_file(models: Cli, tiny_model: Path) -> None:
    result = models("verify", tiny_model)
    assert result.exit_code == 0, result.output
    facts = dict(line.split(":", 1) for line in result.stdout.splitlines())
    assert facts["sha256"].strip() == sha256_of(tiny_model)
    assert facts["md5"].strip() == hashlib.md5(tiny_model.read_bytes()).hexdigest()
    assert facts["registered"].strip().startswith("no")
    assert facts["name"].strip() == "tiny"
    assert "rosgeo-model-1" in facts["format"]
    network = load_model(tiny_model).network
    assert f"{len(network.state_dict())} tensors, {sum(p.numel() for p in network.parameters()):,} parameters" in facts["holds"]


def test_verify_says_which_model_a_file_is(
    models: Cli, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    entry = replace(FAKE, hash=f"md5:{hashlib.md5(tiny_model.read_bytes()).hexdigest()}")
    monkeypatch.setitem(MODELS, FAKE.name, entry)
    assert f"registered:  {FAKE.name}\n" in models("verify", tiny_model).stdout
    refused(models("verify", FAKE.name), 2, f"rosgeo models download {FAKE.name}")
    cache.mkdir()
    (cache / FAKE.file).write_bytes(tiny_model.read_bytes())
    assert models("verify", FAKE.name).exit_code == 0
    small = tmp_path / "copy.safetensors"
    small.write_bytes(MODELS["rosgeo-small"].path.read_bytes())
    assert "registered:  rosgeo-small\n" in models("verify", small).stdout


def test_verify_damaged_files(models: Cli, tiny_model: Path, tmp_path: Path, cache: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_model.read_bytes()[:-1000])
    result = models("verify", cut)
    refused(result, 2, cut)
    assert sha256_of(cut) in result.stdout
    namesake = tmp_path / FAKE.file
    namesake.write_bytes(WEIGHTS[:HALF])
    result = models("verify", namesake)
    refused(result, 2, namesake)
    assert f"named like the file of {FAKE.name}" in result.stdout
    cache.mkdir()
    (cache / FAKE.file).write_bytes(WEIGHTS[:HALF])
    refused(models("verify", FAKE.name), 2, FAKE.hash, hashlib.sha256(WEIGHTS[:HALF]).hexdigest(), f"models download {FAKE.name}")
    refused(models("verify", tmp_path / "missing.pth"), 2, "missing.pth")
    refused(models("verify", cache), 2, cache)
