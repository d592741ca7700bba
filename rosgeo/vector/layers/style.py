"""The QGIS styles that a result's layers open with, as QML.

Sources: the elements and attributes are those that QGIS 3.22 writes itself (`QgsMapLayer.exportNamedStyle`); later versions read them
too. The colours are ColorBrewer's RdYlBu, which people with a colour-vision deficiency can tell apart, made stronger to stand out
on imagery.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

__all__ = [
    "GOOD_STATUS",
    "HAND",
    "PAIR_KINDS",
    "SCORE_CLASSES",
    "STATUS_WORDS",
    "TimeOfRows",
    "pair_truth_qml",
    "pairs_qml",
    "prompts_qml",
    "result_qml",
]

_CATEGORIES = "Symbology|Labeling|Fields|Forms|MapTips|AttributeTable"

SCORE_CLASSES = (
    (0.0, 0.5, "255,40,50", "below 0.50: check"),
    (0.5, 0.7, "253,141,60", "0.50 – 0.70"),
    (0.7, 0.85, "255,237,100", "0.70 – 0.85"),
    (0.85, 0.95, "120,225,245", "0.85 – 0.95"),
    (0.95, 1.0, "75,160,255", "0.95 – 1.00"),
)
"""Score from (included), to (not included, but for 1), colour, and what the legend says. Outlines to be looked at are the warm ones."""

HAND = "255,255,255"
"""Colour of outlines that a person drew or corrected."""

_MISSED = "255,60,200"

STATUS_WORDS = {
    "ok": "ok: outline found",
    "corrected": "corrected: drawn or corrected by hand",
    "rejected": "rejected: not to be used",
    "empty": "empty: no mask",
    "outside": "outside: not on the raster",
    "nodata": "nodata: no valid pixel in the box",
    "invalid": "invalid: no usable box",
    "failed": "failed: the model gave no number, or the frame cannot be read",
    "missing": "missing: the clip has no such frame",
}
"""Values of `rosgeo_status` and how a form shows them. A run writes all but two: QGIS sets ``corrected`` where a shape is changed or
drawn; ``rejected`` is for a person to choose."""

GOOD_STATUS = ("ok", "corrected")
"""Values of `rosgeo_status` of outlines that count as such: what is learned from, and compared. So do rows without a status."""

PAIR_KINDS = {
    "right": ("75,160,255", "right: of the result, with a true outline"),
    "made up": ("253,141,60", "made up: of the result alone"),
    "missed": (_MISSED, "missed: of the truth alone"),
    "not counted": ("170,170,170", "not counted: mostly outside of the area"),
}
"""Values of ``kind`` in a comparison: colour, and what the legend says."""

_PAIR_ALIASES = {
    "kind": "Kind",
    "class": "Class",
    "result_row": "Row of the result (from 0)",
    "truth_row": "Row of the truth (from 0)",
    "iou": "IoU (0–1)",
    "boundary_iou": "Boundary IoU (0–1)",
    "score": "Score of the result",
    "best_iou": "Largest IoU with the other layer, of any class",
    "best_row": "Its row there (from 0)",
    "best_class": "Its class there",
}

_ALIASES = {
    "rosgeo_id": "Row of the boxes (from 0)",
    "rosgeo_status": "Status",
    "rosgeo_score": "Score (predicted IoU, 0–1)",
    "rosgeo_stability": "Stability (IoU at logit ±1, 0–1)",
    "rosgeo_area_m2": "Area (m², geodesic)",
    "rosgeo_model": "Model",
}

_PROMPT_ALIASES = {"prompt_row": "Row of the boxes (from 0)", "prompt_status": "Status of its outline"}

_NEVER_BY_HAND = "('outside', 'nodata', 'invalid', 'failed', 'missing', 'empty', 'ok')"
_STATUS_ON_EDIT = (
    f'CASE WHEN "rosgeo_status" IS NULL OR "rosgeo_status" IN {_NEVER_BY_HAND} THEN \'corrected\' ELSE "rosgeo_status" END'
)
"""A row whose shape or values a person changes is no longer the model's; what the person says of it stays."""

_AREA_ON_EDIT = "if(@project_area_units = 'square meters' AND @project_ellipsoid IN ('EPSG:7030', 'WGS84'), $area, NULL)"
"""QGIS measures with the project's ellipsoid and units; an area by others is none rather than a wrong one."""


@dataclass(frozen=True)
class TimeOfRows:
    """When each row of a layer is shown by QGIS's temporal controller.

    Attributes
    ----------
    seconds : float
        How long a row with a time is shown.
    column : str or None
        Of date and time, from when on. None where no time is known: the frames, by the column ``frame``, then follow each other second by
        second from 1970-01-01 on.
    first_frame : int
        Number of the frame that is shown first where no time is known.
    """

    seconds: float = 1.0
    column: str | None = None
    first_frame: int = 0

    def attributes(self) -> dict[str, str]:
        """Of a QML style's ``temporal`` element."""
        common = {"enabled": "1", "endField": "", "durationField": "", "durationUnit": "ms", "accumulate": "0", "limitMode": "0"}
        # Modes of QgsVectorLayerTemporalProperties: 1 an instant from a field, 4 start and end from expressions.
        if self.column is not None:
            # A millisecond less than to the next frame: QGIS 3.22 compares times as text, and would show both at the seam.
            shown = f"{max(1000 * self.seconds - 1, 500 * self.seconds):.10g}"
            own = {"mode": "1", "startField": self.column, "fixedDuration": shown, "startExpression": "", "endExpression": ""}
            return {**common, **own}
        # Whole seconds, since make_interval of QGIS 3.22 drops what is behind the point.
        start, end = (
            f'make_datetime(1970,1,1,0,0,0) + make_interval(seconds:="frame" - {self.first_frame - after})' for after in (0, 1)
        )
        return {**common, "mode": "4", "startField": "", "fixedDuration": "0", "startExpression": start, "endExpression": end}


def result_qml(time: TimeOfRows | None = None) -> str:
    """The style of the outlines: a cased line by class of `rosgeo_score`, with a faint fill.

    Rows that are not ``ok`` are not drawn, whether they have a geometry or not; they stay in the table. Outlines that a person drew or
    corrected have a class of their own. Labels (the score) are prepared and off. Fields have aliases with units; a form lets people
    choose the status, and sets it to ``corrected`` where a shape or a value is changed.

    Parameters
    ----------
    time : TimeOfRows, optional
        Switches QGIS's temporal controller on.

    Returns
    -------
    str
        QML.
    """
    root = _root(time)
    rules = [_score_rule(*score_class) for score_class in SCORE_CLASSES]
    hand = '"rosgeo_status" = \'corrected\' OR "rosgeo_status" IS NULL'
    rules.append(
        _Rule("drawn or corrected by hand", hand, (_fill(HAND, 20), _line("20,20,20,190", 0.9), _line(f"{HAND},255", 0.46)))
    )
    _renderer(root, rules)
    _labels(root, 'round("rosgeo_score", 2)')
    _fields(root, _ALIASES, on_edit={"rosgeo_status": _STATUS_ON_EDIT, "rosgeo_area_m2": _AREA_ON_EDIT})
    SubElement(root, "previewExpression").text = "'row ' || \"rosgeo_id\""
    SubElement(root, "mapTip").text = (
        '<b>row [% "rosgeo_id" %]</b><br>[% "rosgeo_status" %], score [% coalesce(round("rosgeo_score", 3), \'none\') %]<br>'
        "[% coalesce(format_number(\"rosgeo_area_m2\", 1) || ' m²', 'no area') %]"
    )
    return _qml(root)


def prompts_qml(time: TimeOfRows | None = None) -> str:
    """The style of the prompts: dashed boxes, light where there is an outline and magenta where there is none.

    Parameters
    ----------
    time
        See `result_qml`.
    """
    root = _root(time)
    rules = [
        _Rule("box", "\"prompt_status\" = 'ok'", (_line("20,20,20,110", 0.5), _line("255,255,255,230", 0.26, dash="2.2;1.6"))),
        _Rule("box without an outline", "ELSE", (_line("20,20,20,150", 0.8), _line(f"{_MISSED},255", 0.46, dash="2.2;1.6"))),
    ]
    _renderer(root, rules)
    _labels(root, '"prompt_row"')
    _fields(root, _PROMPT_ALIASES)
    SubElement(root, "previewExpression").text = "'box of row ' || \"prompt_row\""
    SubElement(root, "mapTip").text = '<b>box of row [% "prompt_row" %]</b><br>[% "prompt_status" %]'
    return _qml(root)


def pairs_qml() -> str:
    """The style of a comparison's pairs: right blue, made up orange, missed magenta and dashed; labels (the IoU) are prepared and off."""
    root = _root(None)
    _renderer(root, [_pair_rule(kind, colour, label) for kind, (colour, label) in PAIR_KINDS.items()])
    _labels(root, 'round(coalesce("iou", "best_iou"), 2)')
    _fields(root, _PAIR_ALIASES)
    SubElement(root, "previewExpression").text = '"kind" || \' \' || coalesce("result_row", "truth_row")'
    SubElement(root, "mapTip").text = (
        '<b>[% "kind" %]</b> [% "class" %]<br>row [% coalesce("result_row", \'none\') %] of the result, '
        "[% coalesce(\"truth_row\", 'none') %] of the truth<br>IoU [% coalesce(round(\"iou\", 3), 'none') %], of the boundary "
        "[% coalesce(round(\"boundary_iou\", 3), 'none') %]"
    )
    return _qml(root)


def _pair_rule(kind: str, colour: str, label: str) -> _Rule:
    dash = "2.2;1.2" if kind == "missed" else None
    return _Rule(label, f"\"kind\" = '{kind}'", (_fill(colour, 40), _line("20,20,20,190", 0.9), _line(f"{colour},255", 0.46, dash)))


def pair_truth_qml() -> str:
    """The style of the true outlines of a comparison's pairs: dashed and light, so that the outline of the result is seen under it."""
    root = _root(None)
    _renderer(root, [_Rule("true outline of a pair", "TRUE", (_line("255,255,255,230", 0.26, dash="2.2;1.6"),))])
    _labels(root, 'round("iou", 2)')
    _fields(root, {key: _PAIR_ALIASES[key] for key in ("truth_row", "result_row", "class", "iou")})
    return _qml(root)


@dataclass(frozen=True)
class _SymbolLayer:
    kind: str
    properties: dict[str, str]


@dataclass(frozen=True)
class _Rule:
    label: str
    condition: str
    layers: tuple[_SymbolLayer, ...]


def _score_rule(low: float, high: float, colour: str, label: str) -> _Rule:
    upper = f'"rosgeo_score" {"<=" if high == 1 else "<"} {high:g}'
    condition = f'"rosgeo_status" = \'ok\' AND "rosgeo_score" >= {low:g} AND {upper}'
    return _Rule(label, condition, (_fill(colour, 26), _line("20,20,20,190", 0.9), _line(f"{colour},255", 0.46)))


def _fill(colour: str, alpha: int) -> _SymbolLayer:
    return _SymbolLayer("SimpleFill", {"color": f"{colour},{alpha}", "style": "solid", "outline_style": "no"})


def _line(colour: str, width_mm: float, dash: str | None = None) -> _SymbolLayer:
    properties = {
        "line_color": colour,
        "line_width": f"{width_mm:g}",
        "line_width_unit": "MM",
        "line_style": "solid",
        "joinstyle": "round",
        "capstyle": "round" if dash is None else "flat",
    }
    if dash is not None:
        properties |= {"use_custom_dash": "1", "customdash": dash, "customdash_unit": "MM", "tweak_dash_pattern_on_corners": "1"}
    return _SymbolLayer("SimpleLine", properties)


def _root(time: TimeOfRows | None) -> Element:
    categories = _CATEGORIES if time is None else f"{_CATEGORIES}|Temporal"
    root = Element("qgis", version="3.22.0", styleCategories=categories, labelsEnabled="0")
    if time is not None:
        temporal = SubElement(root, "temporal", time.attributes())
        fixed = SubElement(temporal, "fixedRange")
        SubElement(fixed, "start")
        SubElement(fixed, "end")
    return root


def _renderer(root: Element, rules: Iterable[_Rule]) -> None:
    renderer = SubElement(
        root, "renderer-v2", type="RuleRenderer", symbollevels="0", enableorderby="0", forceraster="0", referencescale="-1"
    )
    tree = SubElement(renderer, "rules", key="{rosgeo}")
    symbols = SubElement(renderer, "symbols")
    for i, rule in enumerate(rules):
        SubElement(tree, "rule", key=f"{{rosgeo-{i}}}", symbol=str(i), label=rule.label, filter=rule.condition)
        symbol = SubElement(symbols, "symbol", type="fill", name=str(i), alpha="1", clip_to_extent="1", force_rhr="0")
        for layer in rule.layers:
            element = SubElement(symbol, "layer", {"class": layer.kind, "enabled": "1", "locked": "0", "pass": "0"})
            _options(element, layer.properties)
            for key, value in layer.properties.items():
                SubElement(element, "prop", k=key, v=value)


def _options(parent: Element, values: dict[str, str]) -> None:
    options = SubElement(parent, "Option", type="Map")
    for name, value in values.items():
        SubElement(options, "Option", type="QString", name=name, value=value)


def _labels(root: Element, expression: str) -> None:
    """Labels as they come when a person turns them on; `labelsEnabled` says that they are off."""
    settings = SubElement(SubElement(root, "labeling", type="simple"), "settings", calloutType="simple")
    style = SubElement(settings, "text-style", fieldName=expression, isExpression="1", fontSize="8", fontSizeUnit="Point")
    style.attrib |= {"textColor": "20,20,20,255", "textOpacity": "1", "fontWeight": "63"}
    SubElement(
        style,
        "text-buffer",
        bufferDraw="1",
        bufferSize="0.8",
        bufferSizeUnits="MM",
        bufferColor="255,255,255,255",
        bufferOpacity="0.9",
    )
    SubElement(settings, "placement", placement="1", quadOffset="4", priority="5", centroidInside="1")
    SubElement(settings, "rendering", drawLabels="1", obstacle="1", displayAll="0", scaleVisibility="0")


def _fields(root: Element, aliases: dict[str, str], on_edit: dict[str, str] | None = None) -> None:
    configuration = SubElement(root, "fieldConfiguration")
    names, defaults = SubElement(root, "aliases"), SubElement(root, "defaults")
    for index, (field, alias) in enumerate(aliases.items()):
        element = SubElement(configuration, "field", name=field, configurationFlags="None")
        if field == "rosgeo_status":
            widget = SubElement(SubElement(element, "editWidget", type="ValueMap"), "config")
            choices = SubElement(SubElement(widget, "Option", type="Map"), "Option", name="map", type="List")
            for value, words in STATUS_WORDS.items():
                _options(choices, {words: value})
        SubElement(names, "alias", field=field, name=alias, index=str(index))
        if on_edit and field in on_edit:
            SubElement(defaults, "default", field=field, expression=on_edit[field], applyOnUpdate="1")


def _qml(root: Element) -> str:
    SubElement(root, "layerGeometryType").text = "2"
    indent(root, " ")
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + tostring(root, encoding="unicode") + "\n"
