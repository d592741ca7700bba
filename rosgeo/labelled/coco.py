"""Labelled objects from COCO files and the folders in which tools lay them out, those of video clips among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rosgeo.errors import TrainingDataError
from rosgeo.geometry.rle import decode_rle
from rosgeo.labelled.candidates import Candidate, Claims, LabelledPicture, Read, Reading
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.data import LabelledObject
from rosgeo.labelled.find_pictures import BY_BASE_NAME, PictureFinder, fit_picture, picture_pixels
from rosgeo.labelled.gate import admit_and_warn
from rosgeo.labelled.json_files import entries_of, id_of, read_json, size_of
from rosgeo.labelled.layouts import coco_file, coco_places
from rosgeo.labelled.outlines import envelope_of, mask_path
from rosgeo.labelled.pictures import read_headers
from rosgeo.labelled.polygons import rings_from
from rosgeo.types import FloatArray

__all__ = ["coco_candidates", "read_coco"]

CROWD = "crowd"
_SLACK_PX, _MUCH = 2.0, 0.1
"""How far, and what share of, outlines may pass their picture's edge through rounding or carelessness alone."""

_BY_ROWS = "with an RLE that runs along rows, read so"


def read_coco(
    folder: str | Path, annotations: str = "", *, column: str | None = None
) -> tuple[list[LabelledObject], dict[str, int]]:
    """Read a COCO folder: one annotation file, and the pictures that it names.

    Parameters
    ----------
    folder : path
        The folder, or the annotation file itself. See `coco_file` and `coco_places` for where files are looked for.
    annotations : str
        Name of the annotation file in it; empty: the one that is there.
    column : str, optional
        Key of the images whose value becomes the `group` of their objects.

    Returns
    -------
    objects : list of LabelledObject
        In the order of the file. Outlines are polygons in whatever way leaves no doubt, or run lengths (RLE, compressed or not), whose
        outline goes along pixel edges. Images with one ``video_id`` are the frames of a clip, which are taken to show the same ground,
        as in `read_frames`.
    left_out : dict
        Reason -> number of annotations that are not among the objects.

    Raises
    ------
    InputFileNotFoundError
        The annotation file or a picture that it names is missing.
    TrainingDataError
        The file is no COCO file, an id is given twice, a picture is not of the size that the file says, or no object is left.
    """
    labels = admit_and_warn(coco_candidates(DataSource(kind="coco", path=str(folder), annotations=annotations), column))
    return list(labels.objects), labels.report.counts()


def coco_candidates(source: DataSource, column: str | None = None) -> Read:
    """All annotations of a COCO source; see `read_coco`."""
    path = coco_file(Path(source.path), source.annotations)
    content = read_json(path)
    if not isinstance(content, dict):
        raise TrainingDataError(f"{path} is not a COCO file: expected an object with images, annotations, categories")
    images = _by_id(entries_of(content, "images", path), "image", "file_name", path)
    names = {key: c.get("name") for key, c in _by_id(entries_of(content, "categories", path), "category", "name", path).items()}
    entries = [(e, f"annotation {e.get('id')}") for e in entries_of(content, "annotations", path)]
    keys = [_image_of(entry, images, f"{path}: {name}") for entry, name in entries]
    pictures, changed = _pictures(source, path, {key: images[key] for key in dict.fromkeys(keys)})
    candidates = []
    for key, (entry, name) in zip(keys, entries, strict=True):
        picture, scale = pictures[key]
        candidate = Candidate(
            name,
            picture,
            category=_category_of(entry, names, f"{path}: {name}"),
            group=_group_of(images[key], column, f"{path}: {name}"),
        )
        candidates.append(_outlined(candidate, entry, size_of(images[key]) or picture.shape, scale, f"{path}: {name}"))
    _refuse_wrong_size(path, [(c, pictures[key][1]) for c, key in zip(candidates, keys, strict=True)])
    crowds = [(CROWD, c.name) for c in candidates if c.ignored]
    name = str(path) if source.annotations else source.name
    return Read(name, tuple(candidates), tuple(crowds), tuple(changed), frozenset({CROWD}))


def _by_id(entries: Sequence[dict[str, Any]], what: str, name: str, path: Path) -> dict[Any, dict[str, Any]]:
    """Entries by their id, which only entries that are alike may share."""
    found: dict[Any, dict[str, Any]] = {}
    for i, entry in enumerate(entries):
        key = id_of(entry, "id", f"{path}: {what} {i} of the list")
        other = found.setdefault(key, entry)
        if other.get(name) != entry.get(name):
            raise TrainingDataError(
                f"{path}: the {what} id {key} is given twice: {other.get(name)} and {entry.get(name)}; expected one {what} of each id, "
                "and its labels by that"
            )
    return found


def _image_of(entry: dict[str, Any], images: dict[Any, dict[str, Any]], where: str) -> Any:
    key = id_of(entry, "image_id", where)
    if key not in images:
        raise TrainingDataError(f"{where}: {entry['image_id']!r:.60}, its 'image_id', is missing in the list of images")
    return key


def _category_of(entry: dict[str, Any], names: dict[Any, Any], where: str) -> Any:
    key = id_of(entry, "category_id", where)
    if key not in names:
        raise TrainingDataError(f"{where}: {entry['category_id']!r:.60}, its 'category_id', is missing in the list of categories")
    return names[key]


def _group_of(image: dict[str, Any], column: str | None, where: str) -> Any:
    if column is None:
        return ""
    if column not in image:
        raise TrainingDataError(f"{where}: {column!r} is missing in its image")
    return image[column]


Scale = tuple[float, float]


def _pictures(
    source: DataSource, path: Path, images: dict[Any, dict[str, Any]]
) -> tuple[dict[Any, tuple[LabelledPicture, Scale]], list[tuple[str, str]]]:
    """The picture of each image, what its labels must be multiplied by, and what there is to say."""
    root, places = coco_places(Path(source.path), path, source.images)
    files, changed = _files_of(images, PictureFinder(root, places), path)
    headers = read_headers(files.values())
    grounds = _clips(images, files)
    pixels = picture_pixels(source)
    out = {}
    for key, image in images.items():
        picture, scale, note = fit_picture(headers[files[key]], size_of(image), path, pixels)
        if note:
            changed.append((note, files[key].name))
        out[key] = (replace(picture, ground=grounds.get(key, ""), source=str(image.get("source", root.name))), scale)
    return out, changed


def _files_of(
    images: dict[Any, dict[str, Any]], finder: PictureFinder, path: Path
) -> tuple[dict[Any, Path], list[tuple[str, str]]]:
    """The file of each image, and which were found by their base name."""
    files: dict[Any, Path] = {}
    by_name: list[tuple[str, str]] = []
    missing: list[str] = []
    owner: dict[Path, str] = {}
    for key, image in images.items():
        name = image.get("file_name")
        if not isinstance(name, str):
            raise TrainingDataError(
                f"{path}: image {key}: 'file_name' is {'missing' if name is None else 'no text'}; expected the name of its picture"
            )
        file, guessed = finder.find(name)
        if file is None:
            missing.append(name)
            continue
        if guessed:
            by_name.append((BY_BASE_NAME, name))
        if owner.setdefault(file, name) != name:
            raise TrainingDataError(
                f"{path}: the pictures {owner[file]} and {name} would both be {file}; name each under 'file_name' as it lies there"
            )
        files[key] = file
    finder.require(missing, path)
    return files, by_name


def _clips(images: dict[Any, dict[str, Any]], pictures: dict[Any, Path]) -> dict[Any, str]:
    """What ground the frames of clips show, by image: the folder of the clip, as `read_frames` says it, or a name in a shared one."""
    videos = {key: image["video_id"] for key, image in images.items() if image.get("video_id") is not None}
    folders = {key: pictures[key].parent.resolve() for key in videos}
    in_folder: dict[Path, set[str]] = {}
    for key, folder in folders.items():
        in_folder.setdefault(folder, set()).add(str(videos[key]))
    return {key: str(folder if len(in_folder[folder]) == 1 else folder / f"video {videos[key]}") for key, folder in folders.items()}


def _refuse_wrong_size(path: Path, scaled: Sequence[tuple[Candidate, Scale]]) -> None:
    """Raise where labels that would be scaled up lie on their picture as they are, and not on one of the size that the file gives."""
    up = [(c, np.array(scale)) for c, scale in scaled if max(scale) > 1 and c.rings]
    beyond = []
    for c, factor in up:
        limit = np.array([c.picture.width, c.picture.height])
        furthest = envelope_of(c.rings)[2:]
        if (furthest > limit + _SLACK_PX * factor).any() and (furthest / factor <= limit + _SLACK_PX).all():
            beyond.append(c)
    if len(beyond) > _MUCH * len(up):
        height, width = beyond[0].picture.shape
        raise TrainingDataError(
            f"{path}: {len(beyond)} of {len(up)} labels reach beyond the size that the file gives their pictures, and lie on the pictures "
            f"as they are (first: {beyond[0].name} on {beyond[0].picture.path.name}, {width} x {height} px); mend width and height there"
        )


def _outlined(candidate: Candidate, entry: dict[str, Any], shape: tuple[int, int], scale: Scale, where: str) -> Candidate:
    """A candidate with the outline of its annotation, or with the reason why it has none."""
    segmentation = entry.get("segmentation")
    # CVAT marks every brush mask as a crowd; its annotations are known by their attributes.
    attributes = entry.get("attributes")
    ignored = entry.get("iscrowd") in (1, "1", True) and not (isinstance(attributes, dict) and "occluded" in attributes)
    reason, name = "", candidate.name
    factor = np.array(scale)
    runs = _run_lengths(segmentation)
    try:
        if runs:
            rings = _rings_of_runs(runs, shape, where)
            reason = "" if rings else "empty mask"
        else:
            rings = rings_from(segmentation or [])
            reason = "" if rings else "no outline"
    except TrainingDataError:
        raise
    except ValueError as error:
        if ignored:
            return replace(candidate, ignored=True, yields=True)
        name = f"{name}, which holds {error}; expected [[x, y, x, y, ...], ...] or run lengths"
        rings, reason = (), "with a segmentation that is not understood"
    by_rows = Reading(_BY_ROWS, lambda: tuple(r * factor for r in _by_rows(runs, shape)))
    claims = Claims(
        _numbers(entry.get("bbox"), 4, np.tile(factor, 2)),
        area=_area(entry.get("area"), scale),
        others=(by_rows,) if runs and rings else (),
    )
    rings = tuple(r * factor for r in rings)
    return replace(candidate, name=name, rings=rings, reason=reason, claims=claims, ignored=ignored, yields=ignored)


def _numbers(value: Any, count: int, factor: FloatArray) -> FloatArray | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    try:
        numbers: FloatArray = np.array(value, dtype=np.float64) * factor
    except (TypeError, ValueError):
        return None
    return numbers


def _area(value: Any, scale: Scale) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) * scale[0] * scale[1] if is_number and math.isfinite(value) else None


def _run_lengths(segmentation: Any) -> list[dict[str, Any]]:
    """The run lengths that a segmentation holds; none where it is something else."""
    found = segmentation if isinstance(segmentation, list) else [segmentation]
    return found if found and all(isinstance(s, dict) and "counts" in s for s in found) else []


def _rings_of_runs(runs: Sequence[dict[str, Any]], shape: tuple[int, int], where: str) -> tuple[FloatArray, ...]:
    """Outlines of run lengths along columns, as COCO has them."""
    try:
        return _decoded(runs, shape)
    except ValueError as error:
        raise TrainingDataError(f"{where}: its RLE {error}") from error


def _by_rows(runs: Sequence[dict[str, Any]], shape: tuple[int, int]) -> tuple[FloatArray, ...]:
    """Outlines of run lengths along rows, as some write them: those along the columns of the transposed picture."""
    turned = [{**r, "size": list(r["size"])[::-1]} for r in runs]
    return tuple(np.ascontiguousarray(ring[:, ::-1]) for ring in _decoded(turned, shape[::-1]))


def _decoded(runs: Sequence[dict[str, Any]], shape: tuple[int, int]) -> tuple[FloatArray, ...]:
    found = [decode_rle(r, shape) for r in runs]
    return tuple(mask_path(p.mask) + np.array([p.col_off, p.row_off]) for p in found if p is not None)
