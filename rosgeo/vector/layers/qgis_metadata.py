"""A run's record as the metadata that QGIS shows of a layer (its Information and Metadata tabs).

Source of the format: `QgsAbstractMetadataBase.writeMetadataXml` of QGIS 3.22, the content of a .qmd file. QGIS looks for it in a
GeoPackage in the row of ``gpkg_metadata`` with the standard `QMD_URI`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from rosgeo.addresses.secrets import file_name

__all__ = ["QMD_URI", "layer_qmd"]

QMD_URI = "http://mrcc.com/qgis.dtd"
"""``md_standard_uri`` of QGIS's own metadata in a GeoPackage."""


def layer_qmd(record: dict[str, Any], *, what: str) -> str:
    """The metadata of one layer of a result.

    Parameters
    ----------
    record : dict
        The run's record; see `rosgeo.run.record.run_record`. Any part may be missing.
    what : str
        What the layer holds, as in "Outlines"; begins the title.

    Returns
    -------
    str
        XML: a title, a summary in sentences, and the whole record as the history, a line for each value.
    """
    root = Element("qgis", version="3.22.0")
    scene = _input(record, "scene")
    SubElement(root, "identifier")
    SubElement(root, "parentidentifier")
    SubElement(root, "language").text = "ENG"
    SubElement(root, "type").text = "dataset"
    SubElement(root, "title").text = f"{what} of {file_name(scene)}" if scene else f"{what} by rosgeo"
    SubElement(root, "abstract").text = "\n".join(_summary(record))
    keywords = SubElement(root, "keywords", vocabulary="rosgeo")
    for word in ("segmentation", "rosgeo", *filter(None, [_model(record)])):
        SubElement(keywords, "keyword").text = word
    finished = record.get("finished")
    if finished:
        SubElement(SubElement(root, "dates"), "date", type="Created", value=str(finished))
    for line in _lines(record):
        SubElement(root, "history").text = line
    indent(root, " ")
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + tostring(root, encoding="unicode") + "\n"


def _summary(record: dict[str, Any]) -> Iterator[str]:
    version = (record.get("versions") or {}).get("rosgeo", "")
    yield f"Made by rosgeo {version}".rstrip() + (f" with the model {_model(record)}" if _model(record) else "") + "."
    for name in ("scene", "boxes"):
        if _input(record, name):
            yield f"{name.capitalize()}: {_input(record, name)}"
    counts = record.get("counts")
    if isinstance(counts, dict):
        by_status = ", ".join(f"{n} {status}" for status, n in sorted(counts.items(), key=lambda item: -item[1]))
        yield f"Rows: {sum(counts.values())} ({by_status}). Rows that are not ok are in the table and not on the map."
    yield "Score: the IoU with the true object that the model predicts for its mask, 0 to 1. The history holds the run's whole record."


def _model(record: dict[str, Any]) -> str:
    model = record.get("model")
    return str(model.get("name", "")) if isinstance(model, dict) else ""


def _input(record: dict[str, Any], name: str) -> str:
    inputs = record.get("inputs")
    return str(inputs.get(name, "")) if isinstance(inputs, dict) else ""


def _lines(value: Any, name: str = "") -> Iterator[str]:
    """``a.b: value`` for each value of nested dictionaries."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _lines(inner, f"{name}.{key}" if name else str(key))
    elif name:
        yield f"{name}: {_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "none" if value is None or value == {} else str(value)
