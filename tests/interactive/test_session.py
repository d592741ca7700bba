"""A session: the outline of a box is that of `rosgeo.segment`, clicks correct it, undo and commit do what they say."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rosgeo
import shapely
import torch
from affine import Affine
from rosgeo.errors import BoxesError, InputFileNotFoundError, OptionError, OutputError
from rosgeo.inference.predict import Segmenter
from rosgeo.interactive.session import Session
from rosgeo.model.checkpoint import load_model
from rosgeo.model.network import SAM_CONFIGS, RosSam
from rosgeo.vector.layers.write import read_record
from rosgeo.vector.result import RESULT_COLUMNS

from tests.conftest import NORTH_UP, WriteRaster, px_boxes

BOX = (80.25, 30.5, 120.75, 70.0)


@pytest.fixture
def make_session(write_raster: WriteRaster, tiny_model: Path) -> Callable[..., Session]:
    def make(**options: Any) -> Session:
        return Session(write_raster(), model=tiny_model, **options)

    return make


def on_map(x: float, y: float, transform: Affine = NORTH_UP) -> tuple[float, float]:
    at = transform * (x, y)
    return at[0], at[1]


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "pixel outline": ({}, {"outline": "pixel"}),
    "paper crop": ({}, {"crop": "paper", "crop_side": 64}),
    "rotated": ({"transform": NORTH_UP * Affine.rotation(30)}, {}),
    "rotated, raster's axes": ({"transform": NORTH_UP * Affine.rotation(30)}, {"axes": "raster"}),
    "south-up": ({"transform": Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000)}, {}),
    "16-bit": ({"array": np.random.default_rng(1).integers(0, 9000, (3, 120, 160)).astype(np.uint16)}, {}),
    "other CRS of the result": ({}, {"crs": "EPSG:4326"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_box_gives_the_outline_that_segment_gives(case: str, write_raster: WriteRaster, tiny_model: Path) -> None:
    raster, options = CASES[case]
    scene = write_raster(**raster)
    transform = raster.get("transform", NORTH_UP)
    corners = np.array([on_map(BOX[0], BOX[1], transform), on_map(BOX[2], BOX[3], transform)])
    box = shapely.box(*corners.min(axis=0), *corners.max(axis=0))
    boxes = gpd.GeoDataFrame(geometry=[box], crs="EPSG:32633")
    expected = rosgeo.segment(scene, boxes, model=tiny_model, **options)
    session = Session(scene, model=tiny_model, **options)
    session.box(*corners[0], *corners[1])
    session.commit()
    assert expected.geometry[0].equals_exact(session.result.geometry[0], 0)
    assert expected.drop(columns="geometry").equals(session.result.drop(columns="geometry"))
    assert session.result.crs == expected.crs


def test_boxes_in_pixels_and_in_another_crs(make_session: Callable[..., Session]) -> None:
    session = make_session()
    here = session.box(*on_map(20, 30), *on_map(60, 70))
    in_pixels = session.box(20, 30, 60, 70, crs="pixel")
    assert here.polygon is not None
    assert here.polygon.equals_exact(in_pixels.polygon, 0)
    degrees = gpd.GeoSeries([here.box], crs="EPSG:32633").to_crs(4326).total_bounds
    there = session.box(*degrees, crs="EPSG:4326")
    # The envelope of a box in degrees is a little larger in UTM, and sheared in the draft.
    assert there.box.intersection(here.box).area / there.box.union(here.box).area > 0.95


def test_a_raster_without_georeferencing_is_worked_on_in_pixels(write_raster: WriteRaster, tiny_model: Path) -> None:
    scene = write_raster(transform=None, crs=None)
    boxes = gpd.GeoDataFrame(geometry=[shapely.box(*BOX)])
    expected = rosgeo.segment(scene, boxes, model=tiny_model, boxes_crs="pixel")
    session = Session(scene, model=tiny_model)
    inside = session.box(*BOX).polygon.representative_point()
    session.point(inside.x, inside.y, positive=False)
    session.point(100.5, 50.5)
    assert session.draft is not None
    assert not session.draft.polygon.contains(inside)
    session.undo()
    session.undo()
    session.commit()
    assert expected.geometry[0].equals_exact(session.result.geometry[0], 0)
    assert session.result.crs is None
    assert session.result["rosgeo_area_m2"].isna().all()


@pytest.mark.parametrize("transform", [NORTH_UP, NORTH_UP * Affine.rotation(30)])
def test_clicked_pixels_are_in_or_out(transform: Affine, write_raster: WriteRaster, tiny_model: Path) -> None:
    session = Session(write_raster(transform=transform), model=tiny_model)
    session.box(*on_map(40, 40, transform), *on_map(90, 90, transform))
    made = [((50.5, 60.5), True), ((70.5, 60.5), False), ((52.5, 60.5), False), ((70.5, 64.5), True), ((64.5, 80.5), False)]
    for at, positive in made:
        session.point(*on_map(*at, transform), positive=positive)
    draft = session.draft
    assert draft is not None
    for at, positive in made:
        assert draft.polygon.contains(shapely.Point(on_map(*at, transform))) == positive
    assert draft.positive.tolist() == [positive for _, positive in made]
    assert draft.status == "ok"


def test_undo_goes_back_step_by_step(make_session: Callable[..., Session]) -> None:
    session = make_session()
    assert session.undo() is None
    first = session.box(20, 30, 60, 70, crs="pixel")
    second = session.point(40.5, 50.5, positive=False, crs="pixel")
    third = session.point(30.5, 40.5, crs="pixel")
    session.commit(kind="roof")
    assert (len(session), session.draft) == (1, None)
    assert session.undo() is third
    assert len(session) == 0
    assert session.undo() is second
    assert session.undo() is first
    session.clear()
    assert session.draft is None
    assert session.undo() is first
    assert session.undo() is None


def test_the_result_has_the_schema_of_segment(make_session: Callable[..., Session]) -> None:
    session = make_session()
    empty = session.result
    assert len(empty) == 0
    assert set(RESULT_COLUMNS) <= set(empty.columns)
    session.box(20, 30, 60, 70, crs="pixel")
    assert session.commit(kind="roof", floors=2) == 0
    session.box(80, 30, 120, 70, crs="pixel")
    assert session.commit(kind="shed", checked=True) == 1
    result = session.result
    assert result.columns.tolist() == ["kind", "floors", "checked", "geometry", *RESULT_COLUMNS]
    assert result["kind"].tolist() == ["roof", "shed"]
    assert result["floors"].isna().tolist() == [False, True]
    assert result["rosgeo_id"].tolist() == [0, 1]
    assert (result["rosgeo_model"] == "tiny").all()
    assert empty.crs == result.crs


def test_save_writes_style_and_record_and_nothing_by_mistake(make_session: Callable[..., Session], tmp_path: Path) -> None:
    session = make_session()
    with pytest.raises(OptionError, match="nothing to save"):
        session.save(tmp_path / "none.gpkg")
    session.box(20, 30, 60, 70, crs="pixel")
    session.point(40.5, 50.5, crs="pixel")
    session.commit(kind="roof")
    target = session.save(tmp_path / "roofs.gpkg")
    read = gpd.read_file(target, layer="masks")
    assert read["kind"].tolist() == ["roof"]
    assert read.geometry[0].equals(session.result.geometry[0])
    record = read_record(target)
    assert record["interactive"] == {"objects": 1, "clicks": 1}
    assert record["model"]["name"] == "tiny"
    assert "layer_styles" in pyogrio.list_layers(target)[:, 0]
    with pytest.raises(OutputError, match="exists"):
        session.save(target)
    with pytest.raises(OutputError, match="does not exist"):
        session.save(tmp_path / "no" / "roofs.gpkg")
    assert not (tmp_path / "none.gpkg").exists()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda s: s.point(5, 5), "draw a box first"),
        (lambda s: s.commit(), "draw a box first"),
        (lambda s: s.box(0, 0, 0, 5, crs="pixel"), "an area between them"),
        (lambda s: s.box(0, 0, float("nan"), 5, crs="pixel"), "finite corners"),
        (lambda s: s.box(500, 500, 600, 600, crs="pixel"), "x 0 to 160, y 0 to 120"),
        (lambda s: s.box(0, 0, 1, 1), "x 500000 to 500080, y 3999940 to 4000000"),
        (lambda s: (s.box(20, 30, 60, 70, crs="pixel"), s.point(150, 30, crs="pixel")), "not in the crop"),
        (lambda s: (s.box(20, 30, 60, 70, crs="pixel"), s.commit(geometry=1)), "geometry"),
        (lambda s: s.box(0, 0, 1, 1, crs="EPSG:1"), "no CRS that PROJ knows"),
    ],
)
def test_wrong_steps_say_what_to_do(step: Callable[[Session], Any], message: str, make_session: Callable[..., Session]) -> None:
    session = make_session()
    with pytest.raises(OptionError, match=message):
        step(session)


def test_wrong_steps_leave_the_session_as_it_was(make_session: Callable[..., Session]) -> None:
    session = make_session()
    draft = session.box(20, 30, 60, 70, crs="pixel")
    with pytest.raises(OptionError):
        session.point(150, 30, crs="pixel")
    with pytest.raises(OptionError):
        session.box(500, 500, 600, 600, crs="pixel")
    with pytest.raises(BoxesError, match="rosgeo_score"):
        session.commit(rosgeo_score=1)
    assert session.draft is draft


def test_wrong_options_are_named(write_raster: WriteRaster, tiny_model: Path) -> None:
    scene = write_raster()
    with pytest.raises(OptionError, match="did you mean 'stretch'"):
        Session(scene, model=tiny_model, strech="none")
    with pytest.raises(OptionError, match="no option 'layer'"):
        Session(scene, model=tiny_model, layer="boxes")
    with pytest.raises(OptionError, match="crops_kept"):
        Session(scene, model=tiny_model, crops_kept=0)
    with pytest.raises(InputFileNotFoundError):
        Session(scene.with_name("none.tif"), model=tiny_model)


def test_a_box_without_valid_pixels_is_a_row_without_outline(write_raster: WriteRaster, tiny_model: Path) -> None:
    array = np.full((3, 120, 160), 7, dtype=np.uint8)
    array[:, :, :80] = 0
    session = Session(write_raster(array=array, nodata=0), model=tiny_model)
    assert session.box(10, 10, 40, 40, crs="pixel").status == "nodata"
    with pytest.raises(OptionError, match="no valid pixel"):
        session.point(20, 20, crs="pixel")
    session.commit()
    assert session.result["rosgeo_status"].tolist() == ["nodata"]


def test_a_crop_is_encoded_once(write_raster: WriteRaster, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Segmenter(load_model(tiny_model))
    calls: list[int] = []
    encode = segmenter.model.network.encode
    monkeypatch.setattr(segmenter.model.network, "encode", lambda image: (calls.append(1), encode(image))[1])
    session = Session(write_raster(), segmenter=segmenter, crops_kept=2)
    session.box(20, 30, 60, 70, crs="pixel")
    session.point(40.5, 50.5, crs="pixel")
    session.box(20, 31, 60, 69, crs="pixel")  # another box, the same crop
    assert len(calls) == 1
    session.box(80, 30, 120, 70, crs="pixel")
    session.box(20, 30, 60, 70, crs="pixel")
    assert len(calls) == 2
    session.box(90, 10, 120, 40, crs="pixel")
    session.box(80, 30, 120, 70, crs="pixel")  # was used longest ago, and is gone
    assert len(calls) == 4


def test_a_click_is_quick(make_session: Callable[..., Session]) -> None:
    session = make_session()
    session.box(20, 30, 60, 70, crs="pixel")
    started = time.process_time()
    session.point(40.5, 50.5, positive=False, crs="pixel")
    assert time.process_time() - started < 0.25


def test_models_that_know_points_are_given_them() -> None:
    """SAM's own prompt encoder gets the clicks, at the centres from which it counts."""
    from dataclasses import replace

    config = replace(SAM_CONFIGS["b"], backbone_dim=32, backbone_depth=2, backbone_heads=2, input_size=128, position_grid=8,
                     global_blocks=(1,), early_blocks=(1,), embed_dim=32, decoder_mlp_dim=32, window_size=4)  # fmt: skip
    torch.manual_seed(0)
    network = RosSam(config).eval()
    seen: dict[str, Any] = {}
    network.prompt_encoder.register_forward_pre_hook(lambda _, args, kwargs: seen.update(kwargs), with_kwargs=True)
    with torch.inference_mode():
        features = network.encode(torch.zeros(1, 3, 128, 128))
        box = torch.tensor([[10.0, 10.0, 90.0, 90.0]])
        plain = network.decode(*features, box)
        assert seen["points"] is None
        points = (torch.tensor([[[40.5, 50.5]]]), torch.tensor([[1]]))
        clicked = network.decode(*features, box, points=points)
        other = network.decode(*features, box, points=(points[0], torch.tensor([[0]])))
    assert torch.equal(seen["points"][0], torch.tensor([[[40.0, 50.0]]]))
    assert not torch.allclose(plain.sam_logits, clicked.sam_logits)
    assert not torch.allclose(other.sam_logits, clicked.sam_logits)


def test_boxes_of_a_layer_one_by_one(write_raster: WriteRaster, tiny_model: Path) -> None:
    scene = write_raster()
    boxes = px_boxes([(5, 5, 30, 25), (50.3, 40.2, 99.9, 80.1), (130, 90, 170, 130)], NORTH_UP, "EPSG:32633", name=list("abc"))
    expected = rosgeo.segment(scene, boxes, model=tiny_model)
    session = Session(scene, model=tiny_model)
    for name, box in zip(boxes["name"], boxes.geometry, strict=True):
        session.box(*box.bounds)
        session.commit(name=name)
    assert [a.equals_exact(b, 0) for a, b in zip(expected.geometry, session.result.geometry, strict=True)] == [True] * 3
    assert expected["name"].tolist() == session.result["name"].tolist()
