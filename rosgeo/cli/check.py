"""``rosgeo check DATA``."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rosgeo.cli.help import Section, command, option
from rosgeo.cli.labels import label_options, label_source
from rosgeo.cli.options import json_option, picture_option, quiet_option, set_option

if TYPE_CHECKING:
    from rosgeo.labelled.config import DataSource
    from rosgeo.labelled.data import LabelledObject
    from rosgeo.labelled.gate import Labels

__all__ = ["check_command"]

_COLUMNS = 8


@dataclass(frozen=True)
class _Checked:
    """What came of the sources: those that can be read, what lies on which side, and why something would be refused."""

    labels: tuple[Labels, ...]
    sides: tuple[str, ...]
    refused: tuple[str, ...]


@command(
    "check",
    short_help="Look at labelled data before it is trained on.",
    first=("--labels", "--frame-masks", "--picture", "--json", "--set"),
)
@click.argument("data", type=click.Path(path_type=Path))
@label_options
@set_option("Change a key where DATA is a training configuration. May be repeated.")
@picture_option("Also draw labels on their crops, those that look wrong first (.png).")
@option(
    "--tiles",
    section=Section.RESULT,
    default=48,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="How many labels to draw.",
)
@json_option("Also write the report as JSON.", name="json_path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@quiet_option("report", but=" --json and --picture are written all the same.")
def check_command(
    data: Path,
    overrides: tuple[str, ...],
    picture: Path | None,
    tiles: int,
    json_path: Path | None,
    quiet: bool,
    **choices: Any,
) -> None:
    """Say what training and evaluation would make of DATA: what is read, left out and changed, and what looks wrong.

    DATA is whatever rosgeo evaluate takes, or the configuration of a training, whose split is checked too. Ends with 1 where something
    would be refused.

    \b
    rosgeo check data/val --picture labels.png
    rosgeo check scene.tif --labels roofs.gpkg --class-column category
    rosgeo check configs/train/fine-tune.yaml \\
        --set data.train.0.raster=scene.tif \\
        --set data.train.0.labels=roofs.gpkg
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    _check_outputs(json_path, picture)
    if _is_configuration(data):
        _refuse_options(choices)
        checked = _check_configuration(data, overrides)
    elif overrides:
        raise click.UsageError("--set changes a training configuration, and DATA is none")
    else:
        checked = _check_sources(_sources(label_source(data, choices)))
    if not quiet:
        for line in (*(line for labels in checked.labels for line in labels.report.lines()), *checked.sides):
            click.echo(line)
    if picture is not None and checked.labels:
        _draw(checked.labels, picture, tiles)
    if json_path is not None:
        _write_report(json_path, checked)
    for text in checked.refused:
        click.echo(f"Refused: {text}", err=True)
    if checked.refused:
        sys.exit(1)


def _check_outputs(*outputs: Path | None) -> None:
    from rosgeo.vector.layers.write import check_output

    for output in outputs:
        if output is not None:
            check_output(output, overwrite=True)


def _write_report(path: Path, checked: _Checked) -> None:
    from rosgeo.vector.layers.write import writing

    content = {
        "sources": [labels.report.as_dict() for labels in checked.labels],
        "sides": checked.sides,
        "refused": checked.refused,
    }
    with writing(path) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def _is_configuration(data: Path) -> bool:
    """Whether a file is the configuration of a training and no description of a YOLO set."""
    from rosgeo.labelled.yolo import yolo_file

    return data.suffix.lower() in (".yaml", ".yml") and data.is_file() and yolo_file(data) is None


def _refuse_options(choices: dict[str, Any]) -> None:
    """Options of the data beside a configuration, which names all of it, would change nothing."""
    context = click.get_current_context()
    given = [name for name in choices if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    if given:
        key = given[0]
        raise click.UsageError(
            f"--{key.replace('_', '-')}: DATA is a training configuration, which names its data; change a key with --set, as in "
            f"--set data.train.0.{key}=VALUE"
        )


def _sources(source: DataSource) -> list[DataSource]:
    """All that a folder holds: every subset of a YOLO set, every COCO file."""
    from rosgeo.labelled.layouts import coco_files, recognised

    try:
        found = recognised(source)
    except ValueError:
        # Said when it is read.
        return [source]
    if found.kind == "yolo" and not found.subset:
        return [replace(found, subset="all")]
    if found.kind != "coco" or found.annotations or not Path(found.path).is_dir():
        return [source]
    files = coco_files(Path(found.path))
    return [replace(found, annotations=str(f.relative_to(found.path))) for f in files] if len(files) > 1 else [source]


def _check_sources(sources: list[DataSource]) -> _Checked:
    from rosgeo.errors import UserInputError
    from rosgeo.labelled.sources import read_labelled
    from rosgeo.labelled.spelling import OPTIONS

    labels, refused = [], []
    for source in sources:
        try:
            labels.append(read_labelled(source, words=OPTIONS))
        except UserInputError as error:
            refused.append(str(error))
    return _Checked(tuple(labels), (), tuple(refused))


def _check_configuration(path: Path, overrides: tuple[str, ...]) -> _Checked:
    """The sources of a training, and how they are divided."""
    from rosgeo.errors import UserInputError
    from rosgeo.labelled.sources import divided, read_labelled, split_column
    from rosgeo.training.parse import read_config

    try:
        config = read_config(path, overrides).data
    except UserInputError as error:
        return _Checked((), (), (str(error),))
    found: dict[str, list[Labels]] = {"train": [], "val": []}
    refused = []
    for side, column in (("train", split_column(config)), ("val", None)):
        for source in getattr(config, side):
            try:
                found[side].append(read_labelled(source, column))
            except UserInputError as error:
                refused.append(str(error))
    sides: tuple[str, ...] = ()
    if not refused:
        try:
            sides = divided(config, *([o for labels in side for o in labels.objects] for side in found.values()))[2]
        except UserInputError as error:
            refused.append(str(error))
    return _Checked((*found["train"], *found["val"]), sides, tuple(refused))


def _draw(sources: tuple[Labels, ...], path: Path, count: int) -> None:
    """Labels on their crops, as a sheet."""
    from rosgeo.training.report import draw_sheet

    chosen = [pick for labels in sources for pick in _chosen(labels, max(count // len(sources), 1))]
    # What looks wrong comes first, of all sources.
    chosen.sort(key=lambda pick: not pick[1])
    tiles = [(_tile(o), f"{o.category}: {why}" if why else o.category) for o, why in chosen]
    draw_sheet(tiles, path, columns=min(_COLUMNS, len(tiles)))


def _chosen(labels: Labels, count: int) -> list[tuple[LabelledObject, str]]:
    """Objects to draw and what looks wrong with each: some of each finding, and then evenly picked ones."""
    import numpy as np

    rows: dict[int, str] = {}
    findings = [f for f in labels.report.suspicious if f.rows]
    for finding in findings:
        share = max(count // (2 * len(findings)), 1)
        for row in finding.rows[:share]:
            rows.setdefault(row, finding.brief)
    rest = [row for row in range(len(labels.objects)) if row not in rows]
    picked = np.linspace(0, len(rest) - 1, min(max(count - len(rows), 0), len(rest))).round().astype(int)
    rows |= {rest[i]: "" for i in picked}
    return [(labels.objects[row], why) for row, why in rows.items()]


def _tile(labelled: LabelledObject) -> Any:
    """The crop of an object with its outline (green), and what is ignored (magenta)."""
    from rosgeo.geometry.windows import auto_window
    from rosgeo.labelled.coverage import polygon_mask
    from rosgeo.labelled.data import ignored_cells, read_crop
    from rosgeo.training.report import overlay
    from rosgeo.training.validation import TILE_PX

    window = auto_window(labelled.box_px, 1.5, 24)
    rings = [window.px_to_crop(ring) * (TILE_PX / window.size) for ring in labelled.rings]
    label = polygon_mask(rings, (TILE_PX, TILE_PX))
    return overlay(read_crop(labelled, window)[0], label, ignored_cells(labelled, window, TILE_PX), TILE_PX)
