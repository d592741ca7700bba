"""``rosgeo evaluate DATA``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rosgeo.cli.help import Section, command, option
from rosgeo.cli.labels import label_options, label_source
from rosgeo.cli.options import (
    FILE,
    crop_choices,
    crop_options,
    device_option,
    json_option,
    model_options,
    picture_option,
    quiet_option,
)
from rosgeo.cli.progress import ProgressBar

if TYPE_CHECKING:
    from rosgeo.evaluation.scoring import Evaluation, Pipeline
    from rosgeo.geometry.windows import CropPolicy
    from rosgeo.labelled.config import DataSource
    from rosgeo.labelled.data import LabelledObject
    from rosgeo.labelled.gate import Labels
    from rosgeo.model.checkpoint import LoadedModel

__all__ = ["evaluate_command"]


@command(
    "evaluate",
    short_help="Score a model on labelled data.",
    first=("--labels", "--frame-masks", "--model", "--picture", "--json", "--device"),
)
@click.argument("data", type=click.Path(path_type=Path))
@picture_option("Also draw the worst, median and best objects (.png).")
@json_option("Also write the figures as JSON.", name="json_path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@option(
    "--baselines/--no-baselines",
    section=Section.RESULT,
    default=True,
    show_default=True,
    help="Score the boxes themselves and, with OpenCV, GrabCut from them too. Not with --ablate.",
)
@option(
    "--ablate",
    section=Section.RESULT,
    type=click.Choice(["pipeline", "training"]),
    help="pipeline: the rows of the ROS-SAM paper's Tables 1 and 2, on this model and data; training: each --run on this data.",
)
@option(
    "--run",
    "runs",
    section=Section.RESULT,
    multiple=True,
    type=FILE,
    metavar="PATH",
    help="Folder that rosgeo train wrote, or a weights file, for --ablate training. May be repeated; changes are told against the first.",
)
@label_options
@option(
    "--every",
    section=Section.SCENE,
    default=1,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="Take every N-th picture.",
)
@model_options
@crop_options("auto", "paper")
@device_option
@quiet_option("tables", but=" --json and --picture are written all the same.")
def evaluate_command(
    data: Path,
    baselines: bool,
    every: int,
    ablate: str | None,
    runs: tuple[str, ...],
    json_path: Path | None,
    picture: Path | None,
    quiet: bool,
    **choices: Any,
) -> None:
    """Score a model on DATA: each labelled object is segmented from its own box.

    DATA is a folder of pictures with labels as the usual tools lay them out (COCO, YOLO, LabelMe, Label Studio, DAVIS, the ROS-SAM
    reference), its label file, a raster with --labels, or video frames with --frame-masks. rosgeo check says what is read.

    \b
    rosgeo evaluate data/val
    rosgeo evaluate scene.tif --labels roofs.gpkg --picture roofs.png
    rosgeo evaluate JPEGImages/480p --frame-masks Annotations/480p
    rosgeo evaluate data/val --model sam_vit_l_0b3195.pth --ablate pipeline
    rosgeo evaluate data/val --ablate training \\
        --run runs/joint --run runs/alternate
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.evaluation.scoring import evaluate
    from rosgeo.inference.predict import Segmenter
    from rosgeo.model.registry import open_model
    from rosgeo.vector.layers.write import writing

    _check(ablate, runs, json_path, picture)
    source = label_source(data, choices)
    policy = crop_choices(choices)
    labels = _labels(source, quiet)
    objects = _every(list(labels.objects), every)
    device = choices.pop("device")
    if ablate == "training":
        figures, table = _compare_runs(runs, objects, policy, device, quiet, choices["input_size"])
    elif ablate == "pipeline":
        model = open_model(**choices)
        figures, table = _compare_pipelines(model, objects, device, quiet)
        figures = {"model": model.name, "sha256": model.sha256, **figures}
    else:
        model = open_model(**choices)
        tiles: dict[int, Any] = {}
        keep = None if picture is None else _keeper(objects, tiles)
        with ProgressBar(shown=not quiet) as progress:
            tick = _ticker(progress, len(objects))
            result = evaluate(objects, Segmenter(model, device=device), policy, baselines=baselines, on_object=tick, on_mask=keep)
        figures, table = {"model": model.name, "sha256": model.sha256, **result.summary()}, score_table(result)
        if picture is not None:
            _draw(result, tiles, picture)
    if not quiet:
        click.echo(table)
    if json_path is not None:
        with writing(json_path) as partial:
            partial.write_text(
                json.dumps({"data": data.name, "labels": labels.report.as_dict(), **figures}, indent=1), encoding="utf-8"
            )


def _check(ablate: str | None, runs: tuple[str, ...], json_path: Path | None, picture: Path | None) -> None:
    """Find out before any work which options do not go together, and which file cannot be written."""
    from rosgeo.vector.layers.write import check_output

    for output in (json_path, picture):
        if output is not None:
            check_output(output, overwrite=True)
    if ablate and picture is not None:
        raise click.UsageError("--picture shows one run; leave it out with --ablate")
    if (ablate == "training") != bool(runs):
        raise click.UsageError("--ablate training and --run come together: the runs to compare")


def _ticker(progress: Callable[..., None], total: int) -> Callable[[], None]:
    """A callback for each of `total` objects."""
    done = iter(range(1, total + 1))

    def tick() -> None:
        progress(next(done), total)

    return tick


def _compare_pipelines(model: LoadedModel, objects: list[LabelledObject], device: str, quiet: bool) -> tuple[dict[str, Any], str]:
    """Figures and table of `--ablate pipeline`."""
    from rosgeo.evaluation.scoring import PIPELINE_ABLATION, pipeline_ablation

    with ProgressBar(shown=not quiet) as progress:
        tick = _ticker(progress, len(objects) * len(PIPELINE_ABLATION))
        rows = pipeline_ablation(objects, model, device=device, on_object=tick)
    return {"rows": [{"pipeline": row.name, **_short(e)} for row, e in rows]}, ablation_table(rows)


def _compare_runs(
    runs: Sequence[str], objects: list[LabelledObject], policy: CropPolicy, device: str, quiet: bool, input_size: int | None
) -> tuple[dict[str, Any], str]:
    """Figures and table of `--ablate training`."""
    from rosgeo.evaluation.ablation import find_run, training_changes, training_table
    from rosgeo.evaluation.scoring import evaluate
    from rosgeo.inference.predict import Segmenter
    from rosgeo.model.registry import open_model

    # All are looked for before the first is evaluated.
    found = [find_run(path) for path in runs]
    rows = []
    with ProgressBar(shown=not quiet) as progress:
        tick = _ticker(progress, len(objects) * len(found))
        for run in found:
            model = open_model(str(run.weights), input_size=input_size)
            segmenter = Segmenter(model, device=device)
            rows.append((run, model.card, evaluate(objects, segmenter, policy, baselines=False, on_object=tick)))
    figures = [
        {
            "run": run.name,
            "changed": training_changes(rows[0][1], card),
            **{key: card.get(key) for key in ("steps", "seconds")},
            **_short(result),
            "by_class": {name: round(value, 4) for name, (_, value) in result.by_class().items()},
        }
        for run, card, result in rows
    ]
    return {"rows": figures}, training_table(rows)


def _labels(source: DataSource, quiet: bool) -> Labels:
    """What a source holds, after what there is to say of it."""
    from rosgeo.labelled.sources import read_labelled
    from rosgeo.labelled.spelling import OPTIONS

    labels = read_labelled(source, words=OPTIONS)
    if not quiet:
        for line in labels.report.lines():
            click.echo(line, err=True)
    return labels


_SHOWN = 8


def _keeper(objects: list[LabelledObject], tiles: dict[int, Any]) -> Any:
    """Keeps a small picture of each object, since which ones are the worst is known only in the end."""
    from rosgeo.training.validation import object_tile

    def keep(row: int, crop: Any, mask: Any) -> None:
        tiles[row] = object_tile(objects[row], crop, mask)

    return keep


def _draw(result: Evaluation, tiles: dict[int, Any], path: Path) -> None:
    """The worst, the median and the best objects, a row each; labels green, masks magenta."""
    from rosgeo.training.report import draw_sheet

    order = result.iou.argsort(kind="stable").tolist()
    middle = max((len(order) - _SHOWN) // 2, 0)
    chosen = [*order[:_SHOWN], *order[middle : middle + _SHOWN], *order[-_SHOWN:]]
    captions = [f"{result.objects[i].category} {result.iou[i]:.2f} (score {result.score[i]:.2f})" for i in chosen]
    draw_sheet([(tiles[i], text) for i, text in zip(chosen, captions, strict=True)], path, columns=min(_SHOWN, len(order)))


def _every(objects: list[LabelledObject], step: int) -> list[LabelledObject]:
    pictures = set(sorted({o.image_path for o in objects})[::step])
    return [o for o in objects if o.image_path in pictures]


def _short(result: Evaluation) -> dict[str, Any]:
    keys = ("image_iou", "image_biou", "object_iou", "seconds_an_object")
    return {key: value for key, value in result.summary().items() if key in keys}


def ablation_table(rows: Sequence[tuple[Pipeline, Evaluation]]) -> str:
    """Image IoU and BIoU (as in the paper), object IoU and seconds of each pipeline, as a Markdown table."""
    lines = ["| pipeline | image IoU | image BIoU | object IoU | s an object |", "| --- | --- | --- | --- | --- |"]
    for row, result in rows:
        figures = (result.image_iou.mean(), result.image_biou.mean(), result.iou.mean())
        lines.append(f"| {row.name} | {' | '.join(f'{v:.4f}' for v in figures)} | {result.seconds_an_object:.2f} |")
    return "\n".join(lines)


def score_table(result: Evaluation) -> str:
    """All figures of one evaluation, as Markdown tables."""
    lines = [
        f"objects {len(result.objects)}, pictures {len(result.image_iou)}, {result.seconds_an_object:.2f} s an object",
        f"mean error of the score {abs(result.iou - result.score).mean():.4f}",
        "",
        "| | object IoU | image IoU | image BIoU |",
        "| --- | --- | --- | --- |",
        *_compared(result),
        "",
        "| | objects | mean IoU |",
        "| --- | --- | --- |",
        f"| **all** | {len(result.objects)} | **{result.iou.mean():.4f}** |",
    ]
    for groups in (result.by_class(), result.by_size()):
        lines += [f"| {name} | {count} | {value:.4f} |" for name, (count, value) in groups.items()]
    lines += ["", "| score | objects | mean score | mean IoU |", "| --- | --- | --- | --- |"]
    bins = result.calibration()
    lines += [f"| from {b['from']:.1f} | {b['objects']} | {b['score']:.3f} | {b['iou']:.3f} |" for b in bins]
    return "\n".join(lines)


def _compared(result: Evaluation) -> list[str]:
    """A row for the model and one for each baseline."""
    from rosgeo.evaluation.metrics import Scores

    rows = [("**the model**", Scores(result.iou, result.image_iou, result.image_biou))]
    if result.box is not None:
        rows.append(("the boxes themselves", result.box))
    if result.grabcut is not None:
        rows.append(("GrabCut from the box", result.grabcut))
    lines = [f"| {name} | {' | '.join(f'{value:.4f}' for value in scores.means().values())} |" for name, scores in rows]
    if result.box is not None and result.grabcut is None:
        lines.append("| GrabCut from the box | needs OpenCV: pip install 'rosgeo[grabcut]' | | |")
    return lines
