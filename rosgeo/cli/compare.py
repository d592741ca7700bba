"""``rosgeo compare RESULT TRUTH``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rosgeo.cli.help import Section, command, option
from rosgeo.cli.options import FILE, area_option, class_column_option, json_option, output_option, overwrite_option, quiet_option
from rosgeo.cli.progress import ProgressBar

if TYPE_CHECKING:
    from rosgeo.evaluation.layer_outlines import LayerReport
    from rosgeo.evaluation.layers import LayerComparison
    from rosgeo.evaluation.tally import Tally

__all__ = ["compare_command", "comparison_text"]

_PRINTED = "-"
"""What ``--json`` without a name of a file stands for."""


@command(
    "compare",
    short_help="Compare two layers of outlines: right, missed, made up.",
    first=("--output", "--overwrite", "--iou", "--class-column", "--area", "--json"),
)
@click.argument("result", type=FILE)
@click.argument("truth", type=FILE)
@output_option("Also write the pairs here (.gpkg), styled for QGIS.", default="not written")
@option(
    "--iou",
    default=0.5,
    show_default=True,
    metavar="T",
    help="Least IoU of a match, above 0 and up to 1.",
    section=Section.MATCHING,
)
@option(
    "--boundary-width",
    type=float,
    metavar="M",
    show_default="a tenth of the square root of the median true area",
    help="Width of the boundary in metres on the ground, or in units of layers without CRS.",
    section=Section.MATCHING,
)
@area_option("Layer of polygons that bound what is compared.")
@option("--area-layer", metavar="NAME", help="Its layer.", section=Section.MATCHING)
@class_column_option("Column of the class in both. Outlines of different classes are never matched.")
@option("--truth-class-column", metavar="NAME", help="That of TRUTH, where it has another name.", section=Section.MATCHING)
@option(
    "--score-column",
    metavar="NAME",
    show_default="rosgeo_score where it is, else by IoU",
    help="Column of RESULT by which outlines are matched, the highest first.",
    section=Section.MATCHING,
)
@option(
    "--by",
    metavar="NAME",
    show_default="frame, for results of rosgeo video",
    help="Column of both; only outlines with the same value in it are matched.",
    section=Section.MATCHING,
)
@option("--result-layer", metavar="NAME", help="Layer of RESULT, where it has several.", section=Section.OUTLINES)
@option("--truth-layer", metavar="NAME", help="Layer of TRUTH.", section=Section.OUTLINES)
@option("--result-where", metavar="SQL", help="Compare only rows of RESULT that meet this condition.", section=Section.OUTLINES)
@option("--truth-where", metavar="SQL", help="The same for TRUTH.", section=Section.OUTLINES)
@option("--result-crs", metavar="CRS", help="CRS of RESULT, where it has none.", section=Section.OUTLINES)
@option("--truth-crs", metavar="CRS", help="CRS of TRUTH, where it has none.", section=Section.OUTLINES)
@json_option(
    "Write the figures here as JSON; without FILE, print them as JSON instead of the tables.",
    name="json_path",
    metavar="[FILE]",
    is_flag=False,
    flag_value=_PRINTED,
)
@overwrite_option
@quiet_option("tables", but=" What -o and --json name is written all the same.")
def compare_command(
    result: str,
    truth: str,
    output: str | None,
    iou: float,
    boundary_width: float | None,
    area: str | None,
    area_layer: str | None,
    class_column: str | None,
    truth_class_column: str | None,
    score_column: str | None,
    by: str | None,
    json_path: str | None,
    overwrite: bool,
    quiet: bool,
    **sides: str | None,
) -> None:
    """Compare the outlines of RESULT with those of TRUTH, two layers in any CRS.

    Says what is right, missed and made up, overall and by class, at IoU thresholds from 0.5 to 0.95, and how well outlines and their
    boundaries fit. The GeoPackage of -o has a row for each pair and for each outline without one.

    \b
    rosgeo compare roofs.gpkg fields.geojson
    rosgeo compare roofs.gpkg fields.geojson --iou 0.7 \\
        -o compared.gpkg --json compared.json
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.evaluation.layer_outlines import OutlineLayer
    from rosgeo.evaluation.layers import compare_layers

    target = _json_target(json_path, (result, truth, output), overwrite=overwrite)
    if area_layer is not None and area is None:
        raise click.UsageError("--area-layer is of --area FILE; give both, or neither")
    columns = {"result": class_column, "truth": truth_class_column or class_column}
    if truth_class_column is not None and class_column is None:
        raise click.UsageError("--truth-class-column is beside --class-column, that of RESULT; give both")
    layers = {
        name: OutlineLayer(path, sides[f"{name}_layer"], sides[f"{name}_where"], sides[f"{name}_crs"], columns[name])
        for name, path in (("result", result), ("truth", truth))
    }
    with ProgressBar(shown=not quiet and json_path != _PRINTED) as progress:
        compared = compare_layers(
            layers["result"],
            layers["truth"],
            score_column=score_column,
            by=by,
            area=None if area is None else OutlineLayer(area, area_layer),
            iou=iou,
            boundary_width=boundary_width,
            output=output,
            overwrite=overwrite,
            on_rows=progress,
        )
    figures = json.dumps({"result": result, "truth": truth, "output": output, **compared.figures()}, indent=1)
    if target is not None:
        from rosgeo.vector.layers.place import writing

        with writing(target) as partial:
            partial.write_text(figures, encoding="utf-8")
    if json_path == _PRINTED:
        click.echo(figures)
    elif not quiet:
        click.echo(comparison_text(compared))
        if output is not None:
            click.echo(f"\n{output}")


def _json_target(path: str | None, others: tuple[str | None, ...], *, overwrite: bool) -> Path | None:
    """Where the figures go, checked; None where to no file."""
    from rosgeo.vector.layers.place import check_output

    if path in (None, _PRINTED):
        return None
    return check_output(str(path), overwrite=overwrite, inputs=tuple(other for other in others if other is not None))


def comparison_text(compared: LayerComparison) -> str:
    """A comparison in words and Markdown tables."""
    return "\n".join([*_introduction(compared), "", *_class_table(compared), "", *_sweep_table(compared)])


def _introduction(compared: LayerComparison) -> Iterator[str]:
    from rosgeo.geometry.crs import crs_label

    found = compared.comparison
    yield f"result: {_layer_text(compared.result)}"
    yield f"truth: {_layer_text(compared.truth)}"
    matched = "by score" if found.result.scores is not None else "by IoU"
    place = "" if compared.crs is None else f" in {crs_label(compared.crs)}"
    unit = "" if compared.crs is None else " m"
    boundary = "" if found.width is None else f"; boundary within {found.width:g}{unit} of the outline"
    within = "" if compared.by is None else f", within equal {compared.by}"
    yield f"compared{place}: matched {matched}{within}, at an IoU of at least {found.threshold:g}{boundary}"
    other = found.of_another_class()
    if other:
        yield f"{other} of the missed are in the result with another class"


def _layer_text(report: LayerReport) -> str:
    left = sum(report.left_out.values())
    reasons = ", ".join(f"{n} {reason}" for reason, n in report.left_out.items())
    text = f"{report.name}, {report.outlines} outline{'s' * (report.outlines != 1)}"
    text += f"; {left} row{'s' * (left != 1)} left out ({reasons})" if left else ""
    return text + (f"; {report.repaired} made valid" if report.repaired else "")


def _class_table(compared: LayerComparison) -> Iterator[str]:
    found = compared.comparison
    scored = found.average_precision
    head = ["class", "truth", "result", "right", "missed", "made up", "precision", "recall", "F1", "mean IoU", "boundary IoU"]
    yield _row([*head, *(["AP"] if scored is not None else [])])
    yield _row(["---"] * (len(head) + (scored is not None)))
    # Of one class, its row would be that of all again.
    figures = found.figures()
    for tally in found.tallies if len(found.tallies) > 2 else found.tallies[:1]:
        own = figures if tally is found.tallies[0] else figures["classes"][tally.name]
        yield _row([*_counts(tally), *_shares(tally), *([_number(own["average_precision"])] if scored is not None else [])])


def _counts(tally: Tally) -> list[str]:
    numbers = (tally.right + tally.missed, tally.right + tally.made_up, tally.right, tally.missed, tally.made_up)
    return [tally.name, *map(str, numbers)]


def _shares(tally: Tally) -> list[str]:
    own = tally.figures()
    return [_number(own[key]) for key in ("precision", "recall", "f1", "mean_iou", "mean_boundary_iou")]


def _sweep_table(compared: LayerComparison) -> Iterator[str]:
    names = ("right", "precision", "recall", "f1", "mean_iou")
    yield _row(["IoU of at least", "right", "precision", "recall", "F1", "mean IoU"])
    yield _row(["---"] * 6)
    for tally in compared.comparison.sweep:
        own = tally.figures()
        yield _row([f"{tally.threshold:.2f}", *(_number(own[name]) for name in names)])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
