"""The mask decoders against segment-anything's and segment-anything-hq's own."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from rosgeo.model._segment_anything import modeling
from rosgeo.model.hq_decoder import HQMaskDecoder
from rosgeo.model.two_way import TwoWayTransformer
from torch import nn

SIZES = {"embedding_dim": 32, "mlp_dim": 64, "num_heads": 4, "depth": 2}


def published() -> ModuleType:
    """`segment_anything_hq.modeling.mask_decoder_hq`, loaded without the packages' own ``__init__`` (they need torchvision and timm).

    `make test` installs segment-anything-hq; a test that does not find it fails.
    """
    root = importlib.util.find_spec("segment_anything_hq")
    assert root is not None, "segment-anything-hq is not installed: pip install --no-deps segment-anything-hq"
    (folder,) = root.submodule_search_locations or []
    stand_ins = {"segment_anything_hq": folder, "segment_anything_hq.modeling": f"{folder}/modeling"}
    for name, path in stand_ins.items():
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [path]
    try:
        return importlib.import_module("segment_anything_hq.modeling.mask_decoder_hq")
    finally:
        for name in stand_ins:
            del sys.modules[name]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return published()


def pair(reference: ModuleType, dim: int = 32, early: int = 12, seed: int = 0) -> tuple[HQMaskDecoder, Any]:
    """Our decoder and the published one with the same random weights, loaded by the published names."""
    torch.manual_seed(seed)
    ours = HQMaskDecoder(transformer_dim=dim, transformer=TwoWayTransformer(**SIZES), early_dim=early).eval()
    theirs = reference.MaskDecoderHQ(
        transformer_dim=dim, transformer=modeling.TwoWayTransformer(**SIZES), num_multimask_outputs=3, vit_dim=early
    ).eval()
    for parameter in theirs.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2
    ours.load_state_dict(theirs.state_dict())
    return ours.requires_grad_(False), theirs.requires_grad_(False)


def inputs(images: int, prompts: int, side: int = 6) -> dict[str, torch.Tensor]:
    return {
        "embedding": torch.randn(images, 32, side, side),
        "early": torch.randn(images, 12, side, side),
        "image_pe": torch.randn(1, 32, side, side),
        "sparse_prompt": torch.randn(prompts, 2, 32),
        "dense_prompt": torch.randn(1, 32, 1, 1).expand(1, -1, side, side),
    }


def ask(
    theirs: Any, x: dict[str, torch.Tensor], image: int, prompts: slice, hq_token_only: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    sparse = x["sparse_prompt"][prompts]
    masks, iou = theirs(
        image_embeddings=x["embedding"][image : image + 1],
        image_pe=x["image_pe"],
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=x["dense_prompt"].expand(len(sparse), -1, -1, -1),
        multimask_output=False,
        hq_token_only=hq_token_only,
        interm_embeddings=[x["early"][image : image + 1].permute(0, 2, 3, 1)],
    )
    return masks, iou


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert found.shape == wanted.shape
    assert float(((found - wanted).abs().max() / wanted.abs().max()).detach()) < 1e-5


@pytest.mark.parametrize("prompts", [1, 3, 32])
def test_many_boxes_on_one_crop_are_the_published_decoder(reference: ModuleType, prompts: int) -> None:
    ours, theirs = pair(reference)
    x = inputs(1, prompts)
    output = ours(**x)
    hq, iou = ask(theirs, x, 0, slice(None), hq_token_only=True)
    both, _ = ask(theirs, x, 0, slice(None), hq_token_only=False)
    with torch.no_grad():
        fresh = ours(**x)
    for given in (output, fresh):
        assert_close(given.hq_logits, hq)
        assert_close(given.hq_logits + given.sam_logits, both)
        assert_close(given.iou, iou[:, 0])


def test_one_box_on_each_of_many_crops_is_the_published_decoder(reference: ModuleType) -> None:
    ours, theirs = pair(reference, seed=1)
    x = inputs(5, 5)
    output = ours(**x)
    for i in range(5):
        hq, iou = ask(theirs, x, i, slice(i, i + 1), hq_token_only=True)
        assert_close(output.hq_logits[i : i + 1], hq)
        assert_close(output.iou[i : i + 1], iou[:, 0])


def test_without_the_hq_token_it_is_segment_anything_s(reference: ModuleType) -> None:
    torch.manual_seed(2)
    theirs = modeling.MaskDecoder(transformer_dim=32, transformer=modeling.TwoWayTransformer(**SIZES)).eval().requires_grad_(False)
    for parameter in theirs.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2
    ours = HQMaskDecoder(transformer_dim=32, transformer=TwoWayTransformer(**SIZES), early_dim=12, hq=False).eval()
    ours.load_state_dict(theirs.state_dict())
    x = inputs(1, 7)
    with torch.no_grad():
        output = ours(**x)
    masks, iou = theirs(
        image_embeddings=x["embedding"],
        image_pe=x["image_pe"],
        sparse_prompt_embeddings=x["sparse_prompt"],
        dense_prompt_embeddings=x["dense_prompt"].expand(7, -1, -1, -1),
        multimask_output=False,
    )
    assert_close(output.sam_logits, masks)
    assert_close(output.iou, iou[:, 0])
    assert torch.equal(output.hq_logits, output.sam_logits)


def test_prompts_decoded_in_parts_are_those_decoded_at_once(reference: ModuleType) -> None:
    ours, _ = pair(reference, seed=3)
    x = inputs(1, 11)
    with torch.no_grad():
        by_fours = ours(**x)
        ours.prompts_at_once = 100
        at_once = ours(**x)
    for a, b in zip(by_fours, at_once, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_the_published_decoder(reference: ModuleType) -> None:
    ours, theirs = pair(reference, seed=4)
    x = inputs(1, 3)
    ours.requires_grad_(True)
    theirs.requires_grad_(True)
    ours(**x).hq_logits.square().mean().backward()
    ask(theirs, x, 0, slice(None), hq_token_only=True)[0].square().mean().backward()
    wanted = dict(theirs.named_parameters())
    seen = 0
    for name, parameter in ours.named_parameters():
        if parameter.grad is not None and wanted[name].grad is not None:
            scale = wanted[name].grad.abs().max() + 1e-6
            assert float((parameter.grad - wanted[name].grad).abs().max() / scale) < 1e-3, name
            seen += 1
    assert seen > 50


@pytest.mark.parametrize("images", [1, 3])
def test_the_two_way_transformer_is_segment_anything_s(images: int) -> None:
    torch.manual_seed(5)
    ours, theirs = TwoWayTransformer(**SIZES), modeling.TwoWayTransformer(**SIZES)
    for parameter in theirs.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    ours.load_state_dict(theirs.state_dict())
    embedding, pe, tokens = torch.randn(images, 32, 5, 7), torch.randn(1, 32, 5, 7), torch.randn(3, 6, 32)
    found = ours(embedding, pe, tokens)
    wanted = theirs(embedding.expand(3, -1, -1, -1), pe.expand(3, -1, -1, -1), tokens)
    for a, b in zip(found, wanted, strict=True):
        assert_close(a, b)


def test_bfloat16_stays_near(reference: ModuleType) -> None:
    ours, _ = pair(reference, seed=6)
    for module in ours.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            module.weight.data *= 0.5
    x = inputs(1, 5)
    with torch.no_grad():
        exact = ours(**x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = ours(**x)
    for a, b in zip(rough, exact, strict=True):
        assert float((a.float() - b).abs().max() / b.abs().max()) < 5e-2
