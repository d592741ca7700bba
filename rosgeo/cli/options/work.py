"""What is done in between: outlines, model, crops, and where it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rosgeo.cli.help import Decorator, Section, option, together
from rosgeo.cli.options.data import FILE, parts_option

if TYPE_CHECKING:
    from rosgeo.geometry.windows import CropPolicy

__all__ = [
    "crop_choices",
    "crop_options",
    "device_option",
    "model_options",
    "outline_options",
    "quiet_option",
    "resample_option",
    "resume_option",
    "run_options",
]

# Outlines


def _holes(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | str | None:
    """``all``, or a number of square pixels."""
    try:
        return value if value in (None, "all") else float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number of square pixels nor all") from None


outline_options = together(
    option(
        "--outline",
        section=Section.OUTLINES,
        default="smooth",
        show_default=True,
        type=click.Choice(["smooth", "pixel"]),
        help="smooth: sub-pixel vertices; pixel: along pixel edges.",
    ),
    option(
        "--simplify",
        section=Section.OUTLINES,
        default=0.05,
        show_default=True,
        type=click.FloatRange(0),
        metavar="PX",
        help="Tolerance in pixels; 0 keeps every vertex. Pixel outlines that share edges keep them shared, from 0.7 on.",
    ),
    option("--orthogonal", section=Section.OUTLINES, is_flag=True, help="Right angles, for buildings."),
    parts_option("all", "largest", help="Which parts of a mask are kept, of those that touch the box."),
    option(
        "--min-area",
        section=Section.OUTLINES,
        type=click.FloatRange(0),
        metavar="PX2",
        show_default="1 % of the box",
        help="Smallest part and hole that is kept, in square pixels.",
    ),
    option(
        "--fill-holes",
        section=Section.OUTLINES,
        callback=_holes,
        metavar="PX2|all",
        help="Fill every hole, or those smaller than this, in square pixels.",
    ),
)


# Model

model_options = together(
    option(
        "--model",
        section=Section.MODEL,
        default="rosgeo-small",
        show_default=True,
        type=FILE,
        metavar="NAME|PATH",
        help="A name of 'rosgeo models list', a weights file of rosgeo, SAM or HQ-SAM, or the folder of a ROS-SAM run.",
    ),
    option(
        "--adapter",
        section=Section.MODEL,
        type=FILE,
        metavar="PATH",
        help="Adapter to put on the model: a file of 'rosgeo train', or a folder of peft.",
    ),
    option(
        "--mask-token",
        section=Section.MODEL,
        type=click.Choice(["hq", "sam", "sum"]),
        show_default="hq; sam for SAM, sum for HQ-SAM",
        help="Whose mask is served: the HQ token's, SAM's, or the sum of both.",
    ),
    option(
        "--input-size",
        section=Section.MODEL,
        type=click.IntRange(1),
        metavar="PX",
        show_default="the model's own",
        help="Side of the model's input.",
    ),
)


# Crops


def crop_options(*modes: str) -> Decorator:
    """How crops are cut and shared, with these `modes` of ``--crop``; `crop_choices` takes the values."""
    baselines = "tiles" in modes
    return together(
        option(
            "--crop",
            section=Section.CROPS,
            default="auto",
            show_default=True,
            type=click.Choice(modes),
            help="auto: as large as the box asks for; paper: --crop-side px round each box"
            f"{'; tiles, whole: baselines of the paper' * baselines}.",
        ),
        option(
            "--crop-factor",
            section=Section.CROPS,
            type=float,
            metavar="F",
            show_default="1.5",
            help="Side of an auto crop over the box's longer side.",
        ),
        option(
            "--crop-side",
            section=Section.CROPS,
            type=int,
            metavar="PX",
            show_default="512",
            help=f"Side of a paper{' or tiles' * baselines} crop.",
        ),
        option(
            "--share/--no-share",
            section=Section.CROPS,
            default=False,
            show_default=True,
            help="Boxes near each other share a crop: fewer encoder passes. Objects are coarser in auto crops, the same in paper ones.",
        ),
        option(
            "--share-factor",
            section=Section.CROPS,
            type=float,
            metavar="F",
            show_default="3",
            help="Share auto crops of at most so many times the longer side of each of their boxes.",
        ),
    )


resample_option = option(
    "--resample",
    section=Section.CROPS,
    default="bicubic",
    show_default=True,
    type=click.Choice(["bicubic", "bilinear"]),
    help="How crops are brought to the model's input.",
)


def crop_choices(choices: dict[str, Any]) -> CropPolicy:
    """The crop policy of a command's options; takes them out of `choices`."""
    from rosgeo.run.options import crop_policy

    share, number = choices.pop("share"), choices.pop("share_factor")
    named = {key: choices.pop(key) for key in ("crop", "crop_factor", "crop_side")}
    return crop_policy(share=share if number is None else number, **named)


# Where and how it runs

device_option = option(
    "--device",
    section=Section.RUN,
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Where the model runs: auto, cpu, cuda, cuda:N or mps.",
)


def run_options(parts: str) -> Decorator:
    """Device, arithmetic, processes; `parts` is what a run is divided into."""
    return together(
        device_option,
        option(
            "--precision",
            section=Section.RUN,
            default="auto",
            show_default=True,
            type=click.Choice(["auto", "float32", "bf16"]),
            help="Numbers that the model computes with. auto: bfloat16 where the hardware has it.",
        ),
        option(
            "--batch-size",
            section=Section.RUN,
            type=click.IntRange(1),
            metavar="N",
            show_default="1 on a CPU, 16 on a GPU",
            help="Crops in a pass of the model.",
        ),
        option(
            "--workers",
            section=Section.RUN,
            type=click.IntRange(1),
            metavar="N",
            show_default="this one",
            help=f"Run {parts} in N processes of this machine.",
        ),
        option(
            "--scheduler",
            section=Section.RUN,
            metavar="ADDRESS",
            help=f"Run {parts} on a running Dask cluster, as in tcp://host:8786.",
        ),
    )


resume_option = option(
    "--resume", section=Section.RUN, is_flag=True, help="Go on where a killed run of the same input and options was."
)


def quiet_option(told: str = "summary", but: str = "") -> Decorator:
    """``-q``: nothing on standard output, in words that end with what is told otherwise, `but` for what is written all the same."""
    return option(
        "-q", "--quiet", section=Section.RUN, is_flag=True, help=f"Print only warnings and errors: no progress, no {told}.{but}"
    )
