"""Load every page of the built documentation in headless Chromium; report console errors and requests that fail or leave the machine.

    python docs/check_browser.py [SITE] [--pictures FOLDER]

SITE is what `make docs` built (site/). Chromium's own DevTools protocol is spoken over a pipe, so nothing is needed but the browser:
chromium, chromium-browser or google-chrome of the system (Debian: ``apt-get install chromium``), or the program that CHROMIUM names.
With --pictures, a PNG of each page is left in FOLDER. Exit code 1 where something is wrong, 2 where there is no browser or no site.
"""  # fmt: skip

from __future__ import annotations

import argparse
import base64
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PICTURES_IN = """Promise.all([...document.images].map(
    i => i.decode().catch(() => console.error('no picture', i.src)))).then(() => 1)"""


class Browser:
    """Chromium with one tab, over ``--remote-debugging-pipe``: messages of JSON, each ended by a zero byte."""

    def __init__(self, program: str, profile: str) -> None:
        to_it, self._out = os.pipe()
        self._in, from_it = os.pipe()
        # Chromium reads its file descriptor 3 and writes its 4. A shell puts them there: dup2 in this process could hit a pipe's own end.
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        flags += ["--disable-background-networking", "--window-size=1300,1000", f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{to_it} 4>&{from_it}', "sh", program, *flags, "--remote-debugging-pipe", "about:blank"],
            pass_fds=(to_it, from_it),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_it)
        os.close(from_it)
        self._rest, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        tabs = self.call("Target.getTargets")["targetInfos"]
        tab = next(t["targetId"] for t in tabs if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer; events on the way are kept."""
        self._number += 1
        message = {
            "id": self._number,
            "method": method,
            "params": params,
            **({"sessionId": self._session} if self._session else {}),
        }
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def wait_for(self, method: str) -> None:
        """Take in events up to the first of a kind."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._in, 1 << 16)
            if not piece:
                raise RuntimeError("the browser ended")
            self._rest += piece
        message, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(message))

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(timeout=20)


def faults(events: list[dict[str, Any]], base: str) -> list[str]:
    """What went wrong on a page, a line each."""
    found = []
    for event in events:
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                found.append(f"exception: {params['exceptionDetails'].get('text')}")
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                found.append(f"console: {' '.join(str(a.get('value', a.get('description'))) for a in params['args'])}")
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                found.append(f"log: {params['entry']['text']} {params['entry'].get('url', '')}")
            case "Network.loadingFailed" if not params.get("canceled"):
                found.append(f"request failed: {params.get('errorText')}")
            case "Network.responseReceived" if params["response"]["status"] >= 400:
                found.append(f"HTTP {params['response']['status']}: {params['response']['url']}")
            case "Network.requestWillBeSent" if not params["request"]["url"].startswith((base, "data:", "blob:")):
                found.append(f"leaves the machine: {params['request']['url']}")
    return found


def check(site: Path, program: str, pictures: Path | None) -> int:
    """Load all pages; gives the number of faults."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(site))
    handler.func.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}/"
    wrong, pages = 0, sorted(p.relative_to(site).as_posix() for p in site.rglob("*.html"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            for page in pages:
                browser.events.clear()
                browser.call("Page.navigate", url=base + page)
                browser.wait_for("Page.loadEventFired")
                browser.call("Runtime.evaluate", expression=PICTURES_IN, awaitPromise=True)
                for fault in faults(browser.events, base):
                    wrong += 1
                    print(f"{page}: {fault}")
                if pictures is not None:
                    data = browser.call("Page.captureScreenshot", format="png")["data"]
                    (pictures / (page.replace("/", "_") + ".png")).write_bytes(base64.b64decode(data))
        finally:
            browser.close()
    server.shutdown()
    print(f"{len(pages)} pages, {wrong} faults")
    return wrong


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Load every page of the documentation in headless Chromium.")
    parser.add_argument("site", type=Path, nargs="?", default=Path("site"))
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    program = next((path for name in names if name and (path := shutil.which(name))), None)
    if program is None or not (options.site / "index.html").is_file():
        missing = "no Chromium: install it, or name it in CHROMIUM"
        what = missing if program is None else f"{options.site}: no index.html; run make docs first"
        print(f"Error: {what}", file=sys.stderr)
        return 2
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    return 1 if check(options.site, program, options.pictures) else 0


if __name__ == "__main__":
    sys.exit(main())
