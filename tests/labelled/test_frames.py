"""Video frames with masks as labelled data: what is read, and that a clip is one piece of ground."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from rosgeo.errors import InputFileNotFoundError, LabelsWarning, TrainingDataError, UserInputError
from rosgeo.labelled.config import DataConfig, DataSource, SplitConfig
from rosgeo.labelled.coverage import polygon_mask
from rosgeo.labelled.data import LabelledObject, read_crop
from rosgeo.labelled.sources import read_data, read_source
from rosgeo.labelled.split import refuse_same_ground, split_objects
from rosgeo.training.config import CachedStage, InitConfig, TrainConfig
from rosgeo.training.features import fingerprint_of
from rosgeo.training.samples import NO_AUGMENTATION, Augmentation, make_sample
from rosgeo.training.state import plain_config
from rosgeo.types import CropWindow

from tests.training_site import HEIGHT, WIDTH, write_coco, write_frames


@pytest.fixture
def video(tmp_path: Path) -> DataSource:
    """Two clips of three frames with two objects each, numbered 5 and 10."""
    return write_frames(tmp_path / "video")


def mask_file(source: DataSource, clip: int = 0, frame: int = 0) -> Path:
    return Path(source.masks) / f"clip{clip}" / f"{frame:05d}.png"


def one_clip(source: DataSource, clip: int = 0) -> DataSource:
    return replace(source, path=f"{source.path}/clip{clip}", masks=f"{source.masks}/clip{clip}")


def test_each_index_of_each_frame_is_an_object(video: DataSource) -> None:
    objects, left_out = read_source(video)
    assert (len(objects), left_out) == (12, {})
    assert {o.category for o in objects} == {"object"}
    names = [f"{o.image_path.parent.name}/{o.image_path.name}" for o in objects]
    assert names == [f"clip{c}/{f}" for c in (0, 1) for f in ("00000.jpg", "00001.png", "00002.jpg") for _ in range(2)]
    for i, labelled in enumerate(objects[:6]):
        numbers = np.asarray(Image.open(mask_file(video, frame=i // 2)))
        mask = numbers == (5, 10)[i % 2]
        assert np.array_equal(polygon_mask(labelled.rings, (labelled.height, labelled.width)), mask)
        rows, columns = np.nonzero(mask)
        np.testing.assert_array_equal(labelled.box_px, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    sample = make_sample(objects[2:4], 0, augmentation=NO_AUGMENTATION, rng=np.random.default_rng(0), input_size=56, mask_size=56)
    assert (sample.image.max(axis=0)[sample.targets[0] > 0.5] > 110).mean() > 0.95


def test_a_clip_alone_is_read_as_among_others(video: DataSource) -> None:
    together, _ = read_source(video)
    alone, _ = read_source(one_clip(video, 1))
    assert [(o.image_path, o.ground, o.source) for o in alone] == [(o.image_path, o.ground, o.source) for o in together[6:]]
    assert len({o.ground for o in together}) == 2
    assert len({o.ground for o in alone}) == 1


@pytest.mark.filterwarnings("ignore:.*upright rectangles:rosgeo.errors.LabelsWarning")
@pytest.mark.parametrize("mode", ["L", "P"])
def test_void_is_no_object_and_grey_levels_are_indices(video: DataSource, mode: str) -> None:
    numbers = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    numbers[10:20, 10:30], numbers[20:25, 10:30], numbers[60:70, 60:70] = 1, 255, 254
    for frame, array in enumerate((numbers, np.where(numbers == 255, 255, 0).astype(np.uint8), np.zeros_like(numbers))):
        picture = Image.fromarray(array)
        if mode == "P":
            picture.putpalette(list(range(256)) * 3)
        picture.save(mask_file(video, frame=frame))
    with pytest.warns(LabelsWarning, match="nothing but void"):
        objects, left_out = read_source(one_clip(video))
    # A frame without an object is a frame without an object; one of nothing but 255 may be a mask of another kind.
    assert left_out == {"masks of nothing but void (255)": 1}
    assert [o.box_px.tolist() for o in objects] == [[10, 10, 30, 20], [60, 60, 70, 70]]
    Image.fromarray(numbers == 1).save(mask_file(video))
    with pytest.warns(LabelsWarning, match="nothing but void"):
        assert [o.box_px.tolist() for o in read_source(one_clip(video))[0]] == [[10, 10, 30, 20]]


def test_frames_and_masks_without_each_other_are_counted(video: DataSource) -> None:
    mask_file(video, 0, 1).unlink()
    shutil.copy(mask_file(video, 1, 1), mask_file(video, 1, 7))
    (Path(video.path) / "clip0" / "._00000.jpg").write_text("of a file manager")
    (Path(video.path) / "clip0" / "notes.txt").write_text("no frame")
    shutil.copytree(Path(video.path) / "clip0", Path(video.path) / "clip2")
    shutil.copytree(Path(video.masks) / "clip1", Path(video.masks) / "clip3")
    objects, left_out = read_source(video)
    assert (len(objects), left_out) == (10, {"frames without a mask": 4, "masks without a frame": 5})
    report = read_data(DataConfig(train=(video,))).report[0]
    assert (
        "10 objects in 5 pictures (object 10); left out: 4 frames without a mask (first: 00001 of clip0), 5 masks without" in report
    )


def test_broken_frames_are_named_in_one_line(tmp_path: Path, video: DataSource) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "video", whole)
    frame, mask = Path(video.path) / "clip0" / "00001.png", mask_file(video, 0, 1)
    torn = mask.read_bytes()
    data = torn.index(b"IDAT")

    def save(path: Path, array: np.ndarray) -> None:
        Image.fromarray(array).save(path)

    breaks: list[tuple[Callable[[], object], str]] = [
        (lambda: save(mask, np.ones((HEIGHT - 1, WIDTH), np.uint8)), r"shape \(89, 120\); expected \(90, 120\) as of 00001\.png"),
        (lambda: save(mask, np.ones((HEIGHT, WIDTH, 3), np.uint8)), "mode RGB; expected a PNG with a palette or grey"),
        (lambda: save(mask, np.ones((HEIGHT, WIDTH), np.uint16)), "mode I;16; expected a PNG with a palette"),
        (lambda: mask.write_text("no picture"), "cannot be read as a mask"),
        (lambda: mask.write_bytes(torn[: len(torn) // 2]), "cannot be read as a mask"),
        (lambda: mask.write_bytes(torn[:60] + b"\0\0\0\0" + torn[64:]), "cannot be read as a mask"),
        # What Pillow says then is no OSError.
        (lambda: mask.write_bytes(torn[:11] + b"\0" + torn[12:]), "cannot be read as a mask: Truncated IHDR"),
        (lambda: mask.write_bytes(torn[: data - 1] + b"\0" + torn[data:]), "cannot be read as a mask: broken PNG file"),
        (lambda: frame.write_bytes(torn[:11] + b"\0" + torn[12:]), "cannot be read as a picture: Truncated IHDR"),
        (lambda: frame.write_text("no picture"), "cannot be read as a picture"),
        (
            lambda: save(frame, np.ones((HEIGHT, WIDTH + 1, 3), np.uint8)),
            r"shape \(90, 121\); expected \(90, 120\) as of the frames",
        ),
        (lambda: save(frame.with_suffix(".jpeg"), np.ones((HEIGHT, WIDTH, 3), np.uint8)), r"holds 00001\.jpeg and 00001\.png"),
    ]
    for damage, message in breaks:
        shutil.rmtree(tmp_path / "video")
        shutil.copytree(whole, tmp_path / "video")
        damage()
        with pytest.raises(TrainingDataError, match=message) as caught:
            read_source(video)
        assert "\n" not in str(caught.value)
        assert "00001." in str(caught.value)


def test_folders_that_do_not_fit(tmp_path: Path, video: DataSource) -> None:
    cases: list[tuple[DataSource, type[UserInputError], str]] = [
        (replace(video, path=str(tmp_path / "no")), InputFileNotFoundError, "no: no such folder; expected the frames of a clip"),
        (replace(video, masks=str(tmp_path / "no")), InputFileNotFoundError, "no: no such folder; expected the masks of a clip"),
        (replace(video, masks=f"{video.masks}/clip0"), TrainingDataError, "left out: 6 frames without a mask"),
        (replace(video, path=video.masks, masks=video.path), TrainingDataError, "00001.png is of Pillow's mode RGB"),
        (replace(video, path=f"{video.path}/clip0"), TrainingDataError, "Expected a folder of pictures a clip"),
    ]
    for source, error, message in cases:
        with pytest.raises(error) as caught:
            read_source(source)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(TrainingDataError, match="a source of kind frames has no columns"):
        read_data(DataConfig(train=(video,), split=SplitConfig(by="column", column="city")))


def test_a_clip_is_never_on_both_sides_of_a_split_by_file(video: DataSource, tmp_path: Path) -> None:
    write_frames(tmp_path / "more", clips=5, frames=4)
    more = replace(video, path=str(tmp_path / "more" / "JPEGImages"), masks=str(tmp_path / "more" / "Annotations"))
    for seed in range(5):
        data = read_data(DataConfig(train=(video, more), split=SplitConfig(by="file", share=0.4, seed=seed)))
        train, val = ({o.image_path.parent for o in side} for side in (data.train, data.val))
        assert len(train | val) == 7
        assert not train & val
    with pytest.raises(TrainingDataError, match=r"too few pictures \(a clip is one,"):
        read_data(DataConfig(train=(one_clip(video),), split=SplitConfig(by="file")))


def test_other_frames_of_a_clip_are_the_same_ground(video: DataSource, tmp_path: Path) -> None:
    """A mask a side, so that no frame is on both."""
    halves = []
    for frame in (0, 2):
        folder = tmp_path / f"masks{frame}"
        folder.mkdir()
        shutil.copy(mask_file(video, 0, frame), folder)
        halves.append(replace(one_clip(video), masks=str(folder)))
    train, val = halves
    data = DataConfig(train=(train,), val=(val,))
    with pytest.raises(TrainingDataError, match=r"frames of .*clip0 are both in 'train' and in 'val'.*same_ground: true"):
        read_data(data)
    other_name = tmp_path / "link"
    other_name.symlink_to(val.path)
    with pytest.raises(TrainingDataError, match="are both in 'train' and in 'val'"):
        read_data(replace(data, val=(replace(val, path=str(other_name)),)))
    allowed = read_data(replace(data, same_ground=True))
    assert not {o.image_path for o in allowed.train} & {o.image_path for o in allowed.val}
    assert len(read_data(DataConfig(train=(train,), val=(one_clip(video, 1),))).val) == 6
    refuse_same_ground(*([replace(o, ground="") for o in read_source(half)[0]] for half in halves))


def scattered(clips: int = 2, frames: int = 6, side: int = 600) -> list[LabelledObject]:
    """Small boxes all over the frames of some clips, others in each frame."""
    rng = np.random.default_rng(0)
    return [
        LabelledObject(
            Path(f"{clip}/{frame}.png"), side, side, (np.array([[x, y], [x + 9, y], [x + 9, y + 7]]),), "a", "b", ground=clip
        )
        for clip in "pq"[:clips]
        for frame in range(frames)
        for x, y in rng.uniform(0, side - 10, (40, 2))
    ]


def test_a_block_of_a_clip_is_on_one_side_in_all_frames() -> None:
    objects = scattered()
    train, val, _ = split_objects(objects, SplitConfig(by="blocks", share=0.3, block_px=100))
    assert 0.15 < len(val) / len(objects) < 0.4

    def blocks(labelled: LabelledObject) -> set[tuple[str, int, int]]:
        x_min, y_min, x_max, y_max = (labelled.box_px // 100).astype(int)
        return {(labelled.ground, c, r) for c in range(x_min, x_max + 1) for r in range(y_min, y_max + 1)}

    assert len({o.image_path for o in val}) > 6
    val_blocks = set().union(*map(blocks, val))
    assert not set().union(*map(blocks, train)) & val_blocks
    for clip in "pq":
        hidden = {o.hidden for o in train if o.ground == clip}
        # One set of squares for all frames, that of all validation objects of the clip whatever their frame.
        assert len(hidden) == 1
        assert {(c * 100, r * 100, (c + 1) * 100, (r + 1) * 100) for g, c, r in val_blocks if g == clip} <= set(*hidden)
    # Drawn by frame, the blocks of training are those of validation too.
    apart, apart_val, _ = split_objects([replace(o, ground="") for o in objects], SplitConfig(by="blocks", share=0.3, block_px=100))
    assert {b[1:] for o in apart for b in blocks(o)} & {b[1:] for o in apart_val for b in blocks(o)}


def test_hidden_blocks_are_not_in_the_pixels_of_any_frame(video: DataSource) -> None:
    data = read_data(DataConfig(train=(one_clip(video),), split=SplitConfig(by="blocks", block_px=60, share=0.3)))
    assert len({o.image_path for o in data.train}) == 3
    hidden = data.train[0].hidden
    assert hidden
    for labelled in data.train:
        _, valid = read_crop(labelled, CropWindow(0, 0, WIDTH))
        for left, top, right, bottom in hidden:
            assert not valid[top:bottom, left:right].any()
        assert labelled.hidden == hidden


def test_the_fingerprint_tells_clips_apart(video: DataSource, tmp_path: Path) -> None:
    """The same objects, under the same names of frames."""
    first, second = (read_data(DataConfig(train=(one_clip(video, clip),))) for clip in (0, 1))
    assert first.fingerprints()["train"] != second.fingerprints()["train"]
    features = [fingerprint_of(data.train, Augmentation(), b"") for data in (first, second)]
    assert features[0] != features[1]
    bare = replace(first, train=tuple(replace(o, ground="") for o in first.train))
    assert bare.fingerprints() != first.fingerprints()
    # Data that were moved are the same data.
    shutil.move(tmp_path / "video", tmp_path / "elsewhere")
    moved = replace(video, path=str(tmp_path / "elsewhere/JPEGImages"), masks=str(tmp_path / "elsewhere/Annotations"))
    assert read_data(DataConfig(train=(one_clip(moved),))).fingerprints() == first.fingerprints()


def test_the_record_holds_no_path_of_masks(video: DataSource) -> None:
    config = TrainConfig(data=DataConfig(train=(video,)), init=InitConfig(model="m"))
    assert config.stages.cached == CachedStage()
    assert plain_config(config)["data"]["train"][0]["masks"] == "Annotations"


def test_the_command_scores_frames(video: DataSource, cli: Callable[..., Result], tmp_path: Path, tiny_model: Path) -> None:
    options = ("--frame-masks", video.masks, "--model", tiny_model, "--device", "cpu", "--json", tmp_path / "e.json")
    run = cli("evaluate", video.path, *options)
    assert run.exit_code == 0, run.output
    assert "objects 12, pictures 6," in run.stdout
    figures = json.loads((tmp_path / "e.json").read_text())
    assert (figures["objects"], figures["by_class"]["object"]["objects"]) == (12, 12)
    some = cli("evaluate", video.path, *options, "--every", 2)
    assert "objects 6, pictures 3," in some.stdout
    both = cli("evaluate", write_coco(tmp_path / "coco"), "--frame-masks", video.masks, "--labels", "a.gpkg")
    assert (both.exit_code, "--frame-masks of video frames; expected one of them" in both.output) == (2, True)
    wrong = cli("evaluate", video.path, "--frame-masks", tmp_path / "nowhere", "-q")
    assert (wrong.exit_code, "no such folder" in wrong.output, "Traceback" in wrong.output) == (2, True, False)
