"""The networks, their weights files and their names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rosgeo.errors import DeviceError, InputFileNotFoundError, ModelError, OptionError
from rosgeo.inference.crops import batch_crops
from rosgeo.inference.device import choose_device, choose_precision
from rosgeo.inference.predict import Segmenter
from rosgeo.model._segment_anything import modeling
from rosgeo.model.checkpoint import load_model, save_model
from rosgeo.model.dinov2 import DinoV2Backbone
from rosgeo.model.hq_decoder import HQMaskDecoder
from rosgeo.model.layers import LayerNorm2d
from rosgeo.model.network import ModelConfig, RosSam, box_coverage
from rosgeo.model.registry import open_model, resolve_model
from rosgeo.types import Crop, CropWindow
from safetensors.torch import load_file, save_file
from torch import nn


def random_weights(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1


def test_segment_anything_is_left_as_it_was() -> None:
    code = (
        "import sys, rosgeo.model._segment_anything as m; "
        "assert 'segment_anything' not in sys.modules; assert 'torchvision' not in sys.modules; "
        "assert m.modeling.PromptEncoder.__module__ == 'segment_anything.modeling.prompt_encoder'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_layer_norm_is_segment_anythings() -> None:
    ours, theirs = LayerNorm2d(6), modeling.common.LayerNorm2d(6)
    random_weights(ours)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 6, 5, 4)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_backbone_takes_the_official_fused_projections() -> None:
    backbone = DinoV2Backbone(dim=32, depth=2, num_heads=2, position_grid=4, early_blocks=(0,))
    random_weights(backbone)
    separate = backbone.state_dict()
    fused = {}
    for name, value in separate.items():
        if ".attn.query." in name:
            parts = [separate[name.replace("query", part)] for part in ("query", "key", "value")]
            fused[name.replace("query", "qkv")] = torch.cat(parts)
        elif ".attn.key." not in name and ".attn.value." not in name:
            fused[name] = value
    other = DinoV2Backbone(dim=32, depth=2, num_heads=2, position_grid=4, early_blocks=(0,))
    other.load_state_dict(fused)
    image = torch.randn(1, 3, 56, 56)
    for ours, theirs in zip(backbone(image), other(image), strict=True):
        assert torch.equal(ours, theirs)


def test_positions_are_interpolated_to_other_sizes() -> None:
    backbone = DinoV2Backbone(dim=8, depth=1, num_heads=1, position_grid=5, early_blocks=(0,))
    random_weights(backbone)
    assert torch.equal(backbone.positions(5), backbone.pos_embed)
    # A ramp over the grid stays a ramp in its middle.
    ramp = torch.arange(5.0).repeat(5, 1).reshape(1, 25, 1).expand(1, 25, 8)
    backbone.pos_embed.data = torch.cat([torch.zeros(1, 1, 8), ramp], dim=1)
    resized = backbone.positions(10)[0, 1:, 0].reshape(10, 10)
    torch.testing.assert_close(resized[5, 3:7], torch.tensor([1.25, 1.75, 2.25, 2.75]), atol=0.05, rtol=0)
    backbone.requires_grad_(False)
    assert backbone.positions(10) is backbone.positions(10)
    assert backbone.positions(7).shape == (1, 50, 8)


class PublishedHQDecoder:
    """The arithmetic of HQ-SAM's published decoder for one prompt an image, written out from its description."""

    def __init__(self, decoder: HQMaskDecoder) -> None:
        self.d = decoder

    def __call__(
        self, embedding: torch.Tensor, early: torch.Tensor, pe: torch.Tensor, sparse: torch.Tensor, dense: torch.Tensor
    ) -> dict:
        d = self.d
        tokens = torch.cat([d.iou_token.weight, d.mask_tokens.weight, d.hf_token.weight])[None]
        hs, src = d.transformer(embedding + dense, pe, torch.cat([tokens, sparse], dim=1))
        b, c, h, w = embedding.shape
        up = d.output_upscaling(src.transpose(1, 2).reshape(b, c, h, w))
        hq = d.embedding_maskfeature(up) + d.embedding_encoder(embedding) + d.compress_vit_feat(early)
        count = d.mask_tokens.weight.shape[0]
        sam = (d.output_hypernetworks_mlps[0](hs[:, 1]) @ up.flatten(2)).reshape(b, 1, 4 * h, 4 * w)
        fine = (d.hf_mlp(hs[:, 1 + count]) @ hq.flatten(2)).reshape(b, 1, 4 * h, 4 * w)
        return {"sam": sam, "hq": fine, "iou": d.iou_prediction_head(hs[:, 0])[:, 0]}


@pytest.mark.parametrize("multimask", [0, 3])
def test_decoder_batches_what_it_does_one_by_one(multimask: int) -> None:
    transformer = modeling.TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=64, num_heads=4)
    decoder = HQMaskDecoder(transformer_dim=32, transformer=transformer, early_dim=12, num_multimask_outputs=multimask).eval()
    random_weights(decoder)
    reference = PublishedHQDecoder(decoder)
    embedding, early = torch.randn(3, 32, 6, 6), torch.randn(3, 12, 6, 6)
    pe, sparse, dense = torch.randn(1, 32, 6, 6), torch.randn(3, 2, 32), torch.randn(3, 32, 6, 6)
    with torch.no_grad():
        output = decoder(embedding=embedding, early=early, image_pe=pe, sparse_prompt=sparse, dense_prompt=dense)
        for i in range(3):
            one = reference(embedding[i : i + 1], early[i : i + 1], pe, sparse[i : i + 1], dense[i : i + 1])
            torch.testing.assert_close(output.sam_logits[i : i + 1], one["sam"], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(output.hq_logits[i : i + 1], one["hq"], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(output.iou[i : i + 1], one["iou"], atol=1e-4, rtol=1e-4)


def test_decoder_has_the_published_parameter_names() -> None:
    transformer = modeling.TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=64, num_heads=4)
    ours = HQMaskDecoder(transformer_dim=32, transformer=transformer, early_dim=12)
    sam = modeling.MaskDecoder(transformer_dim=32, transformer=transformer)
    added = set(ours.state_dict()) - set(sam.state_dict())
    assert set(sam.state_dict()) <= set(ours.state_dict())
    assert {name.split(".")[0] for name in added} == {
        "hf_token",
        "hf_mlp",
        "compress_vit_feat",
        "embedding_encoder",
        "embedding_maskfeature",
    }


def test_detail_branch_starts_as_upsampling(tiny_config: ModelConfig) -> None:
    network = RosSam(tiny_config).eval()
    image, boxes = torch.randint(0, 256, (2, 3, 56, 56)), torch.tensor([[10.0, 10, 40, 40], [0, 0, 56, 56]])
    normalised = network.image_encoder.normalise(image)
    last, early = network.image_encoder.backbone(normalised)
    coarse = network.decode(last, early, normalised, boxes, refine=False)
    fine = network.decode(last, early, normalised, boxes)
    grown = nn.functional.interpolate(coarse.hq_logits, size=(32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(fine.hq_logits, grown, atol=1e-4, rtol=1e-4)


def test_box_coverage_is_the_area_of_the_box() -> None:
    coverage = box_coverage(torch.tensor([[1.5, 2.0, 5.25, 7.0]]), 4, 8.0)
    assert coverage.shape == (1, 1, 4, 4)
    assert float(coverage.sum()) * 4 == pytest.approx(3.75 * 5.0)
    assert coverage[0, 0, 1].tolist() == [0.25, 1.0, 0.625, 0.0]


def test_weights_file_round_trip(tmp_path: Path, tiny_config: ModelConfig) -> None:
    network = RosSam(tiny_config).eval()
    save_model(network, tmp_path / "a.safetensors", card={"note": "x"}, dtype=torch.float32)
    loaded = load_model(tmp_path / "a.safetensors")
    assert loaded.name == "tiny"
    assert loaded.card == {"note": "x"}
    assert len(loaded.sha256) == 64
    image, boxes = torch.randint(0, 256, (1, 3, 56, 56)), torch.tensor([[10.0, 10, 40, 40]])
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(image, boxes), network(image, boxes), atol=1e-5, rtol=1e-5)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("damage", ["truncated", "text", "foreign", "mismatch", "newer"])
def test_wrong_weights_files_are_named(tmp_path: Path, tiny_model: Path, tiny_config: ModelConfig, damage: str) -> None:
    path = tmp_path / "bad.safetensors"
    if damage == "truncated":
        path.write_bytes(tiny_model.read_bytes()[:5000])
    elif damage == "text":
        path.write_text("no weights here")
    elif damage == "foreign":
        save_file({"a": torch.zeros(1)}, path)
    else:
        config = json.loads(tiny_config.to_json())
        config |= {"embed_dim": 64} if damage == "mismatch" else {"from_the_future": 1}
        save_file(load_file(tiny_model), path, metadata={"format": "rosgeo-model-1", "config": json.dumps(config)})
    with pytest.raises(ModelError, match=r"bad\.safetensors|from_the_future") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_model_names() -> None:
    assert resolve_model("rosgeo-small").name == "rosgeo-small.safetensors"
    with pytest.raises(ModelError, match="Did you mean 'rosgeo-small'"):
        resolve_model("rosgeo-smal")
    with pytest.raises(InputFileNotFoundError, match="no such weights file"):
        resolve_model("elsewhere/model.safetensors")


def test_embedded_weights_are_small_and_half_precision() -> None:
    path = resolve_model("rosgeo-small")
    assert path.stat().st_size < 60_000_000
    assert {str(v.dtype) for v in load_file(path).values()} == {"torch.float16"}


def test_bfloat16_agrees_with_float32(tiny_model: Path) -> None:
    crop = Crop(0, CropWindow(0, 0, 40), np.array([8.0, 10, 30, 28]), *_noise_crop(40))
    exact = next(Segmenter(load_model(tiny_model), device="cpu", precision="float32").segment([crop]))
    rough = next(Segmenter(load_model(tiny_model), device="cpu", precision="bf16").segment([crop]))
    assert rough.logits.dtype == np.float32
    assert np.abs(rough.logits - exact.logits).max() < 0.05 * np.abs(exact.logits).max()
    assert rough.predicted_iou == pytest.approx(exact.predicted_iou, abs=0.02)


def test_batches_give_what_single_crops_give(tiny_model: Path) -> None:
    crops = [Crop(i, CropWindow(0, 0, 40), np.array([8.0 + i, 10, 30, 28]), *_noise_crop(40, i)) for i in range(3)]
    model = load_model(tiny_model)
    single = list(Segmenter(model, device="cpu").segment(crops))
    batched = list(Segmenter(model, device="cpu", batch_size=2).segment(crops))
    assert [m.id for m in batched] == [0, 1, 2]
    for one, other in zip(single, batched, strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
    assert Segmenter(model, device="cpu").predict(batch_crops([], 56)) == []


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "xla"])
def test_devices_that_are_not_there(name: str) -> None:
    with pytest.raises((OptionError, DeviceError), match=name):
        choose_device(name)


def test_precision_follows_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr("rosgeo.inference.device.cpu_has_bf16", lambda: True)
    assert choose_precision("auto", cpu) == torch.bfloat16
    monkeypatch.setattr("rosgeo.inference.device.cpu_has_bf16", lambda: False)
    assert choose_precision("auto", cpu) == torch.float32
    with pytest.raises(OptionError, match="half"):
        choose_precision("half", cpu)


def _noise_crop(side: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(seed).integers(0, 255, (3, side, side), dtype=np.uint8)
    return image, np.ones((side, side), dtype=bool)


def test_a_model_is_served_at_other_input_sizes(tiny_model: Path) -> None:
    small, large = load_model(tiny_model, input_size=112), load_model(tiny_model)
    assert (Segmenter(small, device="cpu").input_size, Segmenter(large, device="cpu").input_size) == (112, 56)
    assert all(torch.equal(a, b) for a, b in zip(small.network.parameters(), large.network.parameters(), strict=True))
    assert open_model("rosgeo-small").network.config.input_size == 336
    assert open_model("rosgeo-small", input_size=448).network.config.input_size == 448
    crop = Crop(0, CropWindow(0, 0, 40), np.array([5.0, 8, 30, 35]), np.zeros((3, 40, 40), np.uint8), np.ones((40, 40), bool))
    assert next(Segmenter(small, device="cpu").segment([crop])).logits.shape == (40, 40)
    for wrong in (100, 56, 0, -112):
        with pytest.raises(OptionError, match=f"input size {wrong}: tiny takes multiples of 14 px from 112; it was trained at 56"):
            load_model(tiny_model, input_size=wrong)
