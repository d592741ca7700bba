"""The segmenter: batches, shared crops, memory that runs out, a model that fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier, get_ident
from threading import enumerate as enumerate_threads
from typing import Any

import numpy as np
import pytest
import torch
from rosgeo.errors import DeviceError, OutOfMemoryWarning
from rosgeo.geometry.windows import CropPolicy
from rosgeo.inference.crops import batch_crops, resample_image
from rosgeo.inference.predict import Segmenter
from rosgeo.model import layers
from rosgeo.model.checkpoint import load_model
from rosgeo.run.pipeline import SegmentOptions, segment_run
from rosgeo.types import Crop, CropWindow

from tests.conftest import NORTH_UP, WriteRaster, px_boxes


def crops(count: int, *, shared: bool = False) -> list[Crop]:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (3, 40, 40), dtype=np.uint8) for _ in range(1 if shared else count)]
    valid = np.ones((40, 40), dtype=bool)
    boxes = [np.array([2.0 + i, 5, 20 + i, 30]) for i in range(count)]
    return [Crop(i, CropWindow(0, 0, 40), box, images[0 if shared else i], valid) for i, box in enumerate(boxes)]


@pytest.fixture
def segmenter(tiny_model: Path) -> Segmenter:
    return Segmenter(load_model(tiny_model), device="cpu", precision="float32")


def test_crops_that_share_an_image_are_encoded_once(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    encode = segmenter.model.network.encode
    monkeypatch.setattr(segmenter.model.network, "encode", lambda image: passes.append(len(image)) or encode(image))
    shared = crops(5, shared=True)
    apart = [replace(crop, image=crop.image.copy()) for crop in shared]
    together, alone = list(segmenter.segment(shared)), list(segmenter.segment(apart))
    assert passes == [1, 1, 1, 1, 1, 1]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-4)
        assert a.predicted_iou == pytest.approx(b.predicted_iou, abs=1e-5)
    mixed = [*shared[:3], apart[3], *shared[4:]]
    assert batch_crops(mixed, 56).image_of.tolist() == [0, 0, 0, 1, 2]
    segmenter.batch_size = 2
    passes.clear()
    assert [mask.id for mask in segmenter.segment(mixed)] == [0, 1, 2, 3, 4]
    assert passes == [2, 1]
    assert batch_crops([], 56).image.shape == (0, 3, 56, 56)
    assert list(segmenter.segment([])) == []


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_passes_side_by_side_give_the_same_masks_in_the_same_order(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, threads, both = segmenter.model.network.encode, [], Barrier(2, timeout=30)

    def told(image: torch.Tensor) -> Any:
        if len(threads) < 2:
            both.wait()  # broken where two passes do not run at a time
        threads.append((get_ident(), torch.get_num_threads()))
        return encode(image)

    mixed = [*crops(4, shared=True), *(replace(crop, id=crop.id + 4) for crop in crops(5))]
    wanted = list(segmenter.segment(mixed))
    monkeypatch.setattr(segmenter.model.network, "encode", told)
    assert segmenter.streams == 2
    found = list(segmenter.segment_side_by_side(mixed))
    # Four crops of one image are one pass; each pass has one of the two threads.
    assert (len(threads), {count for _, count in threads}) == (6, {1})
    assert [mask.id for mask in found] == list(range(9))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-4)
    assert torch.get_num_threads() == 2
    assert threads_of_a_new_thread() == 2
    # The same bits alone as among others.
    (alone,) = segmenter.segment_side_by_side(mixed[-1:])
    np.testing.assert_array_equal(alone.logits, found[-1].logits)


def threads_of_a_new_thread() -> int:
    """Threads that torch uses in a thread that is started now."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_pass_side_by_side_is_raised_and_leaves_no_thread(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_image: torch.Tensor) -> Any:
        raise ValueError("broken")

    drawn = iter(crops(50))
    monkeypatch.setattr(segmenter.model.network, "encode", broken)
    with pytest.raises(ValueError, match="broken"):
        list(segmenter.segment_side_by_side(drawn))
    assert len(list(drawn)) > 40
    assert torch.get_num_threads() == 2
    assert not [thread for thread in enumerate_threads() if thread.name.startswith("rosgeo-model")]


def test_large_inputs_and_single_threads_take_one_pass_at_a_time(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    assert segmenter.streams == 4
    monkeypatch.setattr(Segmenter, "input_size", 1024)
    assert segmenter.streams == 1
    assert [mask.id for mask in segmenter.segment_side_by_side([])] == []


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory"),
              RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")],
)  # fmt: skip
def test_memory_that_runs_out_halves_the_batch(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    wanted = list(segmenter.segment(crops(9)))
    encode, asked = segmenter.model.network.encode, []

    def limited(image: torch.Tensor) -> Any:
        asked.append(len(image))
        if len(image) > 2:
            raise error
        return encode(image)

    monkeypatch.setattr(segmenter.model.network, "encode", limited)
    segmenter.batch_size = 8
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = list(segmenter.segment(crops(9)))
    assert [str(w.message) for w in caught if w.category is OutOfMemoryWarning] == [
        "cpu has too little memory for 8 crops at once; going on with 4. Pass --batch-size 4 to start so.",
        "cpu has too little memory for 4 crops at once; going on with 2. Pass --batch-size 2 to start so.",
    ]
    # Said once for each size, and not tried again.
    assert asked == [8, 4, 2, 2, 2, 2, 1]
    assert [m.id for m in found] == list(range(9))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-4)


def test_a_single_crop_too_many(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_image: torch.Tensor) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(segmenter.model.network, "encode", none)
    with pytest.raises(DeviceError, match=r"cpu has too little memory for a single crop with tiny at 56 px\. Use a smaller model"):
        list(segmenter.segment(crops(1)))
    monkeypatch.setattr(segmenter.model.network, "encode", lambda _image: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(segmenter.segment(crops(1)))


def test_a_model_that_gives_no_number_is_a_status(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, write_raster: WriteRaster
) -> None:
    served = segmenter.model.network.served_logits
    calls: list[int] = []

    def broken(output: Any) -> torch.Tensor:
        calls.append(1)
        return served(output) * (float("nan") if len(calls) == 2 else 1.0)

    monkeypatch.setattr(segmenter.model.network, "served_logits", broken)
    layer = px_boxes([(10, 10, 40, 30), (60, 20, 90, 50), (100, 60, 140, 100)], NORTH_UP, "EPSG:32633", name=["a", "b", "c"])
    result = segment_run(write_raster(), layer, SegmentOptions(), segmenter=segmenter).result
    assert result["rosgeo_status"].tolist()[1] == "failed"
    assert set(result["rosgeo_status"].drop(1)) <= {"ok", "empty"}
    assert result.geometry.iloc[1] is None
    assert np.isnan(result["rosgeo_score"].iloc[1])
    assert result["name"].tolist() == ["a", "b", "c"]


def test_a_box_without_size_in_pixels_is_invalid(segmenter: Segmenter, write_raster: WriteRaster) -> None:
    layer = px_boxes([(10, 10, 40, 30), (20, 20, 20.0001, 30)], NORTH_UP, "EPSG:32633")
    result = segment_run(write_raster(), layer, SegmentOptions(), segmenter=segmenter).result
    assert result["rosgeo_status"].tolist()[1] == "invalid"


def test_boxes_of_float64_are_no_trouble(segmenter: Segmenter) -> None:
    network, image = segmenter.model.network, torch.zeros(1, 3, 56, 56, dtype=torch.uint8)
    box = torch.tensor([[5.5, 6, 40, 44]])
    with torch.no_grad():
        assert torch.equal(network(image, box.double()).hq_logits, network(image, box).hq_logits)


@pytest.mark.parametrize("mode", ["tiles", "whole"])
def test_boxes_of_one_window_share_its_crop(segmenter: Segmenter, write_raster: WriteRaster, mode: Any, monkeypatch: Any) -> None:
    path = write_raster(array=np.random.default_rng(0).integers(1, 255, (3, 150, 200), dtype=np.uint8))
    boxes = [(10, 10, 40, 30), (150, 20, 190, 50), (20, 60, 50, 90), (160, 110, 190, 140), (12, 15, 30, 40)]
    layer = px_boxes(boxes, NORTH_UP, "EPSG:32633")
    passes: list[int] = []
    encode = segmenter.model.network.encode
    monkeypatch.setattr(segmenter.model.network, "encode", lambda image: passes.append(len(image)) or encode(image))
    policy = CropPolicy(mode=mode, paper_side=100)
    result = segment_run(path, layer, SegmentOptions(crop=policy), segmenter=segmenter).result
    assert len(passes) == {"tiles": 3, "whole": 1}[mode]
    assert result["rosgeo_id"].tolist() == [0, 1, 2, 3, 4]
    # A box on a shared crop gives what it gives alone on that crop.
    for row in (1, 4):
        alone = segment_run(path, layer.iloc[[row]], SegmentOptions(crop=policy), segmenter=segmenter).result
        assert alone["rosgeo_score"].iloc[0] == pytest.approx(result["rosgeo_score"].iloc[row], abs=1e-5)
        a, b = alone.geometry.iloc[0], result.geometry.iloc[row]
        assert (a is None) == (b is None)
        if a is not None:
            assert a.intersection(b).area / a.union(b).area > 0.999


def test_resampling_by_name() -> None:
    edge = np.zeros((3, 8, 8), dtype=np.uint8)
    edge[:, :, 4:] = 255
    cubic, linear = resample_image(edge, 16), resample_image(edge, 16, "bilinear")
    assert linear[0, 0].tolist() == [0] * 7 + [64, 191] + [255] * 7
    # The overshoot of the cubic is clipped, not wrapped around.
    assert cubic[0, 0].tolist()[:7] == [0] * 7
    assert cubic[0, 0].tolist()[9:] == [255] * 7
    assert cubic[0, 0, 8] > 191


def test_bf16_products_are_those_of_autocast_and_the_model_given_stays_float32(tiny_model: Path) -> None:
    loaded = load_model(tiny_model)
    segmenter = Segmenter(loaded, device="cpu", precision="bf16")
    batch = batch_crops(crops(2), segmenter.input_size)
    image, boxes = torch.from_numpy(batch.image), torch.from_numpy(batch.boxes_model)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        plain = loaded.network(image, boxes)
        prepared = segmenter.model.network(image, boxes)
        encoded = [network.encode(image)[0] for network in (loaded.network, segmenter.model.network)]
    # The encoder's bits are the same; the decoder's reordered products are summed in another order.
    assert torch.equal(*encoded)
    torch.testing.assert_close(plain.hq_logits, prepared.hq_logits, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(plain.iou, prepared.iou, atol=1e-2, rtol=1e-2)
    assert {p.dtype for p in loaded.network.parameters()} == {torch.float32}
    backbone = segmenter.model.network.image_encoder.backbone
    assert backbone.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16
    assert backbone.norm.weight is loaded.network.image_encoder.backbone.norm.weight
    assert {p.dtype for p in segmenter.model.network.prompt_encoder.parameters()} == {torch.float32}


@pytest.mark.parametrize("limit", [1, 1 << 19])
def test_attention_in_bf16_on_a_cpu_is_scaled_dot_product_attention(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(layers, "_LOGITS_PER_THREAD", limit)
    q, k, v = (torch.randn(2, 3, 50, 16, generator=torch.Generator().manual_seed(i)) for i in range(3))
    want = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    assert torch.equal(layers.attend(q, k, v), want)
    with torch.no_grad():
        got = layers.attend(q.bfloat16(), k.bfloat16(), v.bfloat16())
    assert got.dtype == torch.bfloat16
    assert float((got.float() - want).abs().max() / want.abs().max()) < 2e-2
