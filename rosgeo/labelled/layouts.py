"""How tools lay out their data sets: where a COCO file and its pictures are, and what kind of source a folder or file is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from rosgeo.errors import InputFileNotFoundError, OptionError, TrainingDataError
from rosgeo.labelled.config import DataSource
from rosgeo.labelled.json_files import read_json
from rosgeo.labelled.pictures import PICTURES

__all__ = ["LAYOUTS", "Layout", "coco_file", "coco_places", "is_layer", "is_raster", "recognised"]

_COCO_NAMES = ("instances.json", "_annotations.coco.json", "result.json", "coco.json", "annotations.json")
_LAYERS = {".gpkg", ".geojson", ".shp", ".fgb", ".parquet", ".geoparquet", ".pq", ".kml", ".gml", ".sqlite"}
_RASTERS = PICTURES | {".vrt", ".img", ".asc", ".nc", ".hdf", ".ecw", ".sid", ".dt2"}


def is_raster(path: str) -> bool:
    """Whether a name is that of a raster, by its ending."""
    return Path(path).suffix.lower() in _RASTERS


def is_layer(path: str) -> bool:
    """Whether a name is that of a vector layer, by its ending."""
    return Path(path).suffix.lower() in _LAYERS


def coco_file(data: Path, annotations: str = "") -> Path:
    """The COCO file of a folder.

    Parameters
    ----------
    data : Path
        The folder, or the file itself.
    annotations : str
        Its name in the folder; empty: the one that is in the folder or in its ``annotations/``, by a usual name or the only one.

    Raises
    ------
    InputFileNotFoundError
        There is none.
    TrainingDataError
        There are several; the message names them.
    """
    if data.is_file():
        return data
    if annotations:
        named = next((p for p in (data / annotations, data / "annotations" / annotations, Path(annotations)) if p.is_file()), None)
        if named is None:
            raise InputFileNotFoundError(f"{data / annotations}: no such file; a COCO folder holds {annotations} and images/")
        return named
    for name in _COCO_NAMES:
        found = [p for p in (data / name, data / "annotations" / name) if p.is_file()]
        if found:
            return found[0]
    found = coco_files(data)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(p.relative_to(data)) for p in found[:6])
        raise TrainingDataError(f"{data} holds {len(found)} COCO files: {names}; choose one with --annotations")
    raise InputFileNotFoundError(
        f"{data / 'instances.json'}: no such file; a COCO folder holds instances.json, or one other COCO file in it or in annotations/, "
        "and its pictures, as in images/"
    )


def coco_files(data: Path) -> list[Path]:
    """COCO files of outlines in a folder, in its ``annotations/`` and in folders of subsets."""
    if not data.is_dir():
        return []
    near = [*sorted(data.glob("*.json")), *sorted((data / "annotations").glob("*.json"))]
    near = near or [p for name in _COCO_NAMES for p in sorted(data.glob(f"*/{name}"))]
    if len(near) > 1:
        near = [p for p in near if _is_coco(p)]
    instances = [p for p in near if p.name.startswith("instances")]
    return instances or near


def _is_coco(path: Path) -> bool:
    """By its beginning, so that thousands of small files of another kind cost little."""
    with path.open("rb") as file:
        start = file.read(4096).replace(b"\x00", b"")
    if start.lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t")[:1] != b"{" or b'"shapes"' in start:
        return False
    try:
        content = read_json(path)
    except TrainingDataError:
        return False
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def coco_places(data: Path, path: Path, images: str = "") -> tuple[Path, list[Path]]:
    """The root of a COCO data set, and the folders that its pictures' names are relative to.

    Parameters
    ----------
    data : Path
        The folder that the user named, or the COCO file.
    path : Path
        The COCO file.
    images : str
        Folder of the pictures in the data set, where the user named it.
    """
    root = data if data.is_dir() else path.parent
    if root.name == "annotations" and data.is_file():
        root = root.parent
    subset = path.stem.split("_", 1)[1] if path.stem.startswith("instances_") else path.stem
    usual = [root / "images" / subset, root / "images", root / subset, path.parent / "images", path.parent, root]
    if images:
        return root, [root / images, Path(images), *usual]
    # The first two as ever: images/ and the folder itself; that of the subset where it is there.
    return root, [root / "images", root, *usual]


@dataclass(frozen=True)
class Layout:
    """A kind of source that is known by what is in its folder, or by its file.

    Attributes
    ----------
    tools : str
        Who writes it so.
    what : str
        How it lies there.
    find : callable
        A path to the source in it; None where it is of another layout.
    """

    tools: str
    what: str
    find: Callable[[Path], DataSource | None]


def recognised(source: DataSource) -> DataSource:
    """A source of the kind ``auto`` as one of its own kind.

    Raises
    ------
    InputFileNotFoundError
        There is no such file or folder.
    TrainingDataError
        It is of no kind that rosgeo knows.
    OptionError
        It needs another file beside it, which is not named.
    """
    if source.kind != "auto":
        return source
    path = Path(source.path)
    if source.annotations:
        return replace(source, kind="coco")
    if path.is_file() and is_layer(source.path):
        raise OptionError(
            f"{path} is a layer of polygons; expected a raster, with its labels in --labels, or a folder of pictures. "
            "Two layers are compared by rosgeo compare"
        )
    if path.suffix and not path.exists():
        raise InputFileNotFoundError(f"{path}: no such file or folder; expected labelled pictures, or a raster with --labels")
    if path.is_file() and is_raster(source.path):
        raise OptionError(
            f"{path} is a raster, whose labels are missing: name a layer of polygons, or a raster of object numbers, with --labels"
        )
    for layout in LAYOUTS:
        found = layout.find(path)
        if found is not None:
            if source.subset and found.kind != "yolo":
                raise OptionError(
                    f"{path} has no subset {source.subset!r}, which only sets of YOLO have (its kind is {found.kind}); name its folder, or "
                    "choose a file with --annotations"
                )
            kept = {
                f.name: v
                for f in fields(DataSource)
                if f.name not in ("kind", "path") and (v := getattr(source, f.name)) != f.default
            }
            return replace(found, **kept)
    if not path.exists() or path.is_dir():
        # In the words of the commonest kind.
        return replace(source, kind="coco")
    raise TrainingDataError(
        f"{path} is of no kind of labelled data that rosgeo knows; expected {', '.join(k.what for k in LAYOUTS)}"
    )


def _masks(path: Path) -> DataSource | None:
    return DataSource(kind="masks", path=str(path)) if (path / "onehotmask").is_dir() else None


def _davis(path: Path) -> DataSource | None:
    frames, masks = path / "JPEGImages", path / "Annotations"
    if not (frames.is_dir() and masks.is_dir()) or not any(masks.rglob("*.png")):
        return None
    sizes = [p.name for p in sorted(frames.iterdir()) if p.is_dir() and (masks / p.name).is_dir()]
    if len(sizes) == 1 and any((frames / sizes[0]).glob("*/")):
        return DataSource(kind="frames", path=str(frames / sizes[0]), masks=str(masks / sizes[0]))
    return DataSource(kind="frames", path=str(frames), masks=str(masks))


def _yolo(path: Path) -> DataSource | None:
    from rosgeo.labelled.yolo import yolo_file

    has = yolo_file(path) is not None or (path.is_dir() and (path / "labels").is_dir() and any((path / "labels").rglob("*.txt")))
    return DataSource(kind="yolo", path=str(path)) if has else None


def _json_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() in (".json", ".jsonl") else []
    if not path.is_dir():
        return []
    return sorted(path.glob("*.json")) or sorted(path.glob("*/*.json"))


def _first_json(path: Path) -> Any:
    files = _json_files(path)
    try:
        return read_json(files[0]) if files else None
    except TrainingDataError:
        return None


def _labelme(path: Path) -> DataSource | None:
    if path.is_dir() and any((path / name).is_file() for name in _COCO_NAMES):
        return None
    content = _first_json(path)
    return DataSource(kind="labelme", path=str(path)) if isinstance(content, dict) and "shapes" in content else None


def _label_studio(path: Path) -> DataSource | None:
    files = _json_files(path)
    if path.is_dir() and len(files) != 1:
        return None
    content = _first_json(path)
    # COCO has lists of results too, which name no pictures.
    is_tasks = isinstance(content, list) and bool(content) and isinstance(content[0], dict) and "image_id" not in content[0]
    return DataSource(kind="labelstudio", path=str(files[0])) if is_tasks else None


def _coco(path: Path) -> DataSource | None:
    if path.is_file():
        return DataSource(kind="coco", path=str(path)) if path.suffix.lower() == ".json" else None
    return DataSource(kind="coco", path=str(path)) if coco_files(path) else None


LAYOUTS: Sequence[Layout] = (
    Layout("the ROS-SAM reference, rosgeo video", "a folder with img/, boxes/ and onehotmask/", _masks),
    Layout("DAVIS", "a folder with JPEGImages/ and Annotations/", _davis),
    Layout("YOLO segmentation, Roboflow, CVAT, Ultralytics", "a folder with data.yaml, or with images/ and labels/", _yolo),
    Layout("LabelMe", "a folder of pictures, each with a JSON file", _labelme),
    Layout("Label Studio", "a JSON file of tasks", _label_studio),
    Layout("COCO, Roboflow, CVAT, Label Studio, geoai, rosgeo segment", "a folder with a COCO file and its pictures", _coco),
)
"""Tried in this order."""
