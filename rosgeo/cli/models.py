"""``rosgeo models``: the weights files that have a name, and files of the user's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rosgeo.cli.help import group, option
from rosgeo.cli.options import FILE, json_option, overwrite_option, quiet_option
from rosgeo.cli.progress import teller

if TYPE_CHECKING:
    import torch

    from rosgeo.model.download import Progress
    from rosgeo.model.network import RosSam
    from rosgeo.model.registry import ModelEntry

__all__ = ["DownloadBar", "models_group", "weights_facts"]


@group("models", short_help="List, download, convert and check weights files.")
def models_group() -> None:
    """Models by name, and their weights files.

    Nothing is downloaded unless `rosgeo models download` is run. ROSGEO_CACHE names another folder for the files, ROSGEO_MODELS_URL a
    mirror to fetch them from, and ROSGEO_OFFLINE=1 forbids downloads.

    \b
    rosgeo models list
    """  # noqa: D301 - the \\b is click's own mark, a backspace


@models_group.command("list")
@json_option("Print all that is known of each, as JSON.")
def list_command(as_json: bool) -> None:
    """Show the models that have a name.

    \b
    rosgeo models list
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.model.registry import MODELS

    if as_json:
        click.echo(json.dumps([_facts(entry) for entry in MODELS.values()]))
        return
    rows = [["NAME", "SIZE", "STATE", "LICENCE", "DESCRIPTION"]]
    # Of the licence only its name: what more there is to say stands in `info`.
    rows += [[e.name, _size(_bytes_of(e)), e.state, e.licence.split(";")[0], e.description] for e in MODELS.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@models_group.command("info")
@click.argument("name")
def info_command(name: str) -> None:
    """Show all that is known of a model.

    \b
    rosgeo models info sam-vit-b
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.model.registry import entry_of

    facts = _facts(entry_of(name))
    facts["size"] = "not known before the download" if facts["size"] is None else f"{facts['size']:,} bytes"
    for key, value in facts.items():
        if value != "":
            click.echo(f"{key + ':':13}{value}")


@models_group.command("download")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@quiet_option()
def download_command(names: tuple[str, ...], quiet: bool) -> None:
    """Download models, and show where they are.

    A download that breaks off goes on from there when the command is run again. The file is used only with the right hash.

    \b
    rosgeo models download sam-hq-vit-b
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.model.download import download, is_downloaded
    from rosgeo.model.registry import entry_of

    tell = teller(quiet)
    for entry in [entry_of(name) for name in names]:
        tell(f"{entry.name}: licence: {entry.licence}; source: {entry.source}")
        if entry.embedded:
            tell(f"{entry.name}: comes with rosgeo, nothing to download")
        elif is_downloaded(entry):
            tell(f"{entry.name}: already downloaded, its hash is right")
        else:
            if entry.path.is_file():
                tell(f"{entry.name}: the file that is there has another hash; it is downloaded again")
            with DownloadBar(entry.file, shown=not quiet) as progress:
                download(entry, progress=progress)
        tell(str(entry.path))


@models_group.command("path")
@click.argument("name")
def path_command(name: str) -> None:
    """Print where a model's file is, for scripts.

    \b
    rosgeo models path rosgeo-small
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.model.registry import entry_of, resolve_model

    click.echo(str(resolve_model(entry_of(name).name)))


@models_group.command("convert", short_help="Write any checkpoint as rosgeo's own single file.")
@click.argument("source", metavar="IN", type=FILE)
@click.argument("output", metavar="OUT", type=FILE)
@option(
    "--dtype",
    default="float16",
    show_default=True,
    type=click.Choice(["float16", "float32", "bfloat16"]),
    help="Type of the stored numbers.",
)
@overwrite_option
@quiet_option()
def convert_command(source: str, output: str, dtype: str, overwrite: bool, quiet: bool) -> None:
    """Write the checkpoint IN, a file, a ROS-SAM run's folder or a model's name, as rosgeo's own single file OUT (.safetensors).

    \b
    rosgeo models convert sam_hq_vit_b.pth hq-b.safetensors
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    from rosgeo.errors import OutputError, RosgeoError
    from rosgeo.model.registry import open_model, resolve_model

    path = resolve_model(source)
    if Path(output).suffix.lower() != ".safetensors":
        raise OutputError(f"{output}: rosgeo's weights files end in .safetensors; name the output so")
    import torch

    from rosgeo.model.checkpoint import save_model
    from rosgeo.vector.layers.write import check_output, replacing

    target = check_output(output, overwrite=overwrite, inputs=(str(path),))
    loaded = open_model(path)
    stored: torch.dtype = getattr(torch, dtype)
    _check_range(loaded.network, stored, path)
    card = {**loaded.card, "converted_from": {"file": path.name, "sha256": loaded.sha256}}
    with replacing(target) as partial:
        try:
            save_model(loaded.network, partial, card=card, dtype=stored)
        except RosgeoError:
            raise
        except Exception as error:  # safetensors' own for a full disk is no OSError
            raise OutputError(f"{target} cannot be written: {' '.join(str(error).split())[:200]}") from error
    teller(quiet)(f"{target}: {loaded.name} ({loaded.kind}), {dtype}, {_size(target.stat().st_size)}")


@models_group.command("verify", short_help="Say what a weights file is and whether it is whole.")
@click.argument("file", metavar="FILE|NAME", type=FILE)
def verify_command(file: str) -> None:
    """Say what a weights file is, and load it.

    Prints its hashes, whether it is one of the models that have a name, and what is in it.

    \b
    rosgeo models verify rosgeo-small
    """  # noqa: D301 - the \\b is click's own mark, a backspace
    for key, value in weights_facts(file):
        click.echo(f"{key + ':':13}{value}")


def weights_facts(file: str) -> Iterator[tuple[str, str]]:
    """What a weights file is, fact by fact with its name: it is hashed, and then loaded, so that hashes are told of a damaged one too.

    Raises
    ------
    InputFileNotFoundError, ModelError
        See `open_model`; or the file of a model with a name has another hash.
    """
    from rosgeo.errors import ModelError
    from rosgeo.model.registry import MODELS, open_model, resolve_model

    path = resolve_model(file)
    hashes = _hashes(path)
    known = next((e.name for e in MODELS.values() if _is(e, hashes)), None)
    asked = MODELS.get(file)
    if asked is not None and known != asked.name:
        raise ModelError(
            f"{path} is not {file}: expected {asked.hash}, found {hashes[asked.hash.partition(':')[0]]}; "
            f"it is damaged, or another file: run rosgeo models download {file} to replace it"
        )
    yield from {"file": str(path), **hashes, "registered": known or _unknown(path)}.items()
    loaded = open_model(path)
    yield "name", loaded.name
    yield "format", f"{loaded.kind}, {_container(path)}"
    yield "holds", _counts(loaded.network)


class DownloadBar:
    """A tqdm bar of bytes on standard error, as a context manager that gives the download's callback.

    Parameters
    ----------
    label : str
        Stands before the bar.
    shown : bool
        False shows nothing.
    """

    def __init__(self, label: str, *, shown: bool = True) -> None:
        self._label, self._shown = label, shown
        self._bar: Any = None

    def __enter__(self) -> Progress:
        return self._update

    def _update(self, done: int, total: int | None) -> None:
        if self._bar is None:
            from tqdm import tqdm

            # initial: what an earlier call fetched counts as there, not as fast. disable=None: no bar where there is no terminal.
            self._bar = tqdm(
                desc=self._label,
                total=total,
                initial=done,
                unit="B",
                unit_scale=True,
                file=sys.stderr,
                dynamic_ncols=True,
                disable=None if self._shown else True,
            )
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _facts(entry: ModelEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "description": entry.description,
        "state": entry.state,
        "licence": entry.licence,
        "source": entry.source,
        "url": entry.address,
        "file": entry.file,
        "size": _bytes_of(entry),
        "hash": f"sha256:{_hashes(entry.path)['sha256']}" if entry.embedded else entry.hash,
        "path": str(entry.path),
    }


def _bytes_of(entry: ModelEntry) -> int | None:
    return entry.path.stat().st_size if entry.size is None and entry.path.is_file() else entry.size


def _size(count: int | None) -> str:
    if count is None:
        return "-"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _hashes(path: Path) -> dict[str, str]:
    import pooch  # type: ignore[import-untyped]

    from rosgeo.errors import ModelError

    if path.is_dir():  # of a ROS-SAM run
        from rosgeo.model.checkpoint import sha256_of

        return {"sha256": sha256_of(path)}
    try:
        return {algorithm: pooch.file_hash(str(path), alg=algorithm) for algorithm in ("sha256", "md5")}
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


def _is(entry: ModelEntry, hashes: dict[str, str]) -> bool:
    """Whether a file with these hashes is a model's."""
    if entry.embedded:
        return _hashes(entry.path) == hashes
    algorithm, _, digest = entry.hash.partition(":")
    return hashes.get(algorithm) == digest


def _unknown(path: Path) -> str:
    from rosgeo.model.registry import MODELS

    namesake = next((entry.name for entry in MODELS.values() if entry.file == path.name), None)
    return (
        f"no: it is named like the file of {namesake}, but its hash is another"
        if namesake
        else "no, it is none of the models with a name"
    )


def _container(path: Path) -> str:
    from safetensors import SafetensorError, safe_open

    if path.is_dir():
        return "a folder"
    try:
        with safe_open(path, "pt") as file:
            return f"safetensors ({(file.metadata() or {}).get('format', 'no metadata')})"
    except SafetensorError:
        return "PyTorch checkpoint"


def _counts(network: RosSam) -> str:
    numbers = sum(value.numel() for value in network.parameters())
    return f"{len(network.state_dict())} tensors, {numbers:,} parameters"


def _check_range(network: RosSam, dtype: torch.dtype, path: Path) -> None:
    """Raise ModelError where a number is not finite, and OptionError where it would not be any more."""
    from rosgeo.errors import ModelError, OptionError

    for name, value in network.state_dict().items():
        if not bool(value.isfinite().all()):
            raise ModelError(f"{path}: {name} holds numbers that are not finite; the file is damaged, or its training went astray")
        if bool((~value.to(dtype).isfinite()).any()):
            raise OptionError(
                f"{path}: {name} holds numbers up to {value.abs().max().item():.3g}, which {str(dtype).removeprefix('torch.')} does not "
                "reach; pass --dtype bfloat16 or float32"
            )
