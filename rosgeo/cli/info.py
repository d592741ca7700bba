"""``rosgeo info FILE...``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from rosgeo.cli.help import command
from rosgeo.cli.options import FILE, json_option

__all__ = ["info_command"]


@command("info", short_help="Say what a file is: a result, scene, layer or model.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@json_option("Print a JSON array with an object for each file.")
def info_command(files: tuple[str, ...], as_json: bool) -> None:
    """Say what each FILE is.

    A result of rosgeo tells the record of its run; a raster its size, bands, CRS, ground sample distance, nodata, and the stretch that
    a run would use; a layer its rows and columns; a model or adapter its hash and what is in it.

    \b
    rosgeo info roofs.gpkg
    rosgeo info scene.tif boxes.gpkg --json
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    found = [_facts(file) for file in files]
    if as_json:
        click.echo(json.dumps(found))
        return
    for i, facts in enumerate(found):
        if i:
            click.echo()
        for line in _lines(facts):
            click.echo(line)


def _facts(file: str) -> dict[str, Any]:
    from rosgeo.diagnostics.info import describe, may_be_weights
    from rosgeo.model.registry import MODELS

    if file in MODELS or may_be_weights(file):
        from rosgeo.cli.models import weights_facts
        from rosgeo.model.adapters import base_of_adapter
        from rosgeo.model.registry import resolve_model

        facts = dict(weights_facts(file))
        base = base_of_adapter(resolve_model(file))
        return {"kind": "model" if base is None else "adapter", **({} if base is None else {"base": str(base)}), **facts}
    return describe(file)


def _lines(facts: dict[str, Any]) -> list[str]:
    """A line for each fact; what a record holds is told by name, options that were not given left out."""
    facts = dict(facts)
    record = facts.pop("record", None)
    if facts.get("kind") == "scene" and facts.get("georeferenced_by") is None:
        del facts["pixel_size"]  # of no map
    lines = [_line(key.replace("_", " "), _text(key, value)) for key, value in facts.items() if value not in (None, [], {})]
    if record is None:
        return lines
    return lines + _record_lines(record)


def _record_lines(record: dict[str, Any]) -> list[str]:
    inputs, model = record.get("inputs", {}), record.get("model", {})
    options = {k: v for k, v in _flat(record.get("options", {})).items() if v is not None}
    frames = record.get("frames") or {}
    told = {
        **inputs,
        # Of a video the inputs have the name of the frames.
        "number of frames": frames.get("count"),
        "numbers": frames.get("numbers"),
        "unreadable": frames.get("unreadable"),
        "counts": ", ".join(f"{n} {status}" for status, n in record.get("counts", {}).items()),
        "model": f"{model.get('name')} ({model.get('file')}, SHA-256 {model.get('sha256')})",
        "adapter": model.get("adapter"),
        "device": f"{record.get('device')}, {record.get('precision')}",
        "axes": record.get("axes"),
        "finished": f"{record.get('finished')}, after {record.get('seconds')} s",
        "options": ", ".join(f"{k} {v}" for k, v in options.items()),
        "versions": ", ".join(f"{k} {v}" for k, v in record.get("versions", {}).items()),
    }
    return [_line(key, str(value)) for key, value in told.items() if value]


def _flat(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in options.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _band(band: dict[str, Any]) -> str:
    scaled = f" x {band['scale']:g} + {band['offset']:g}" if "scale" in band else ""
    return f"{band['band']} {band['type']} {band['colour']}" + (f" ({band['name']})" if "name" in band else "") + scaled


def _fill(fill: dict[str, Any]) -> str:
    taken = "taken as nodata" if fill["nodata"] else "not taken as nodata: --nodata says so"
    return f"{fill['value']:.10g} in {100 * fill['share']:.2g} % of the pixels, and not tagged ({taken})"


_OF_PIXELS: dict[str, Callable[[Any], str]] = {
    "bands": lambda bands: ", ".join(map(_band, bands)),
    "fill": lambda fills: ", ".join(map(_fill, fills)),
    "grey_levels": lambda levels: f"{levels} for nine tenths of the valid pixels; choose another --stretch",
    "placement": lambda placement: str(placement["text"]),
}


def _line(key: str, text: str) -> str:
    return f"{key + ':':18}{text}"


def _text(key: str, value: Any) -> str:
    if key in _OF_PIXELS:
        return _OF_PIXELS[key](value)
    if key == "bytes":
        return f"{value:,}"
    if key == "stretch":
        return ", ".join(f"{low:g} to {high:g}" for low, high in zip(value["low"], value["high"], strict=True))
    if key == "valid_share":
        return f"{100 * value:.1f} % of the pixels"
    if key in ("pixel_size", "gsd_m"):
        return f"{value:.6g}" + (" map units" if key == "pixel_size" else "")
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join("none" if v is None else f"{v:.10g}" if isinstance(v, float) else str(v) for v in value)
    return str(value)
