"""Checkpoints of others (SAM, HQ-SAM, ROS-SAM's runs) against the published code, and files that are none."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from rosgeo.errors import InputFileNotFoundError, ModelError, OptionError, UserInputError
from rosgeo.model._segment_anything import modeling
from rosgeo.model.checkpoint import load_model, save_model
from rosgeo.model.foreign import sort_out
from rosgeo.model.layers import fused_state_dict
from rosgeo.model.lora import adapter_of, adapter_off, load_peft, merge_lora, save_peft
from rosgeo.model.network import SAM_CONFIGS, RosSam
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.model.test_hq_decoder import published

SIDE, DIM, DEPTH = 128, 32, 3


def small_sam() -> Any:
    """segment_anything's own SAM, small, with random weights."""
    torch.manual_seed(0)
    encoder = modeling.ImageEncoderViT(
        img_size=SIDE,
        patch_size=16,
        embed_dim=DIM,
        depth=DEPTH,
        num_heads=2,
        out_chans=256,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        global_attn_indexes=(1,),
        window_size=3,
    )
    prompt = modeling.PromptEncoder(embed_dim=256, image_embedding_size=(8, 8), input_image_size=(SIDE, SIDE), mask_in_chans=16)
    transformer = modeling.TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=64, num_heads=8)
    sam = modeling.Sam(encoder, prompt, modeling.MaskDecoder(transformer_dim=256, transformer=transformer))
    return randomised(sam)


def small_hq_decoder() -> Any:
    torch.manual_seed(1)
    transformer = modeling.TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=64, num_heads=8)
    return randomised(published().MaskDecoderHQ(transformer_dim=256, transformer=transformer, vit_dim=DIM))


def randomised(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * (0.3 if parameter.ndim < 2 else 0.5 / parameter.shape[-1] ** 0.5)
    return module.eval().requires_grad_(False)


IMAGE = torch.randint(0, 256, (1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
BOXES = torch.tensor([[20.0, 30, 90, 100], [5.5, 3.25, 60, 127]])


def published_sam(sam: Any) -> tuple[Tensor, Tensor]:
    """Logits (2, 1, 32, 32) and IoU (2,) that segment_anything's own modules give."""
    embedding = sam.image_encoder(sam.preprocess(IMAGE.float()))
    sparse, dense = sam.prompt_encoder(points=None, boxes=BOXES, masks=None)
    logits, iou = sam.mask_decoder(
        image_embeddings=embedding,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    return logits, iou[:, 0]


def published_hq(sam: Any, decoder: Any, *, hq_token_only: bool) -> Tensor:
    early: list[Tensor] = []
    handle = sam.image_encoder.blocks[1].register_forward_hook(lambda _m, _i, output: early.append(output))
    embedding = sam.image_encoder(sam.preprocess(IMAGE.float()))
    handle.remove()
    sparse, dense = sam.prompt_encoder(points=None, boxes=BOXES, masks=None)
    logits: Tensor = decoder(
        image_embeddings=embedding,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
        hq_token_only=hq_token_only,
        interm_embeddings=early,
    )[0]
    return logits


def assert_close(found: Tensor, wanted: Tensor, within: float = 1e-4) -> None:
    assert float((found - wanted).abs().max() / wanted.abs().max()) < within


def assert_same_network(one: torch.nn.Module, other: torch.nn.Module) -> None:
    """Equal weights to the bit, and equal answers but for rounding, which on some processors depends on where a tensor lies in memory."""
    weights, others = one.state_dict(), other.state_dict()
    assert set(weights) == set(others)
    assert all(torch.equal(value, others[name]) for name, value in weights.items())
    assert_close(one(IMAGE, BOXES).hq_logits, other(IMAGE, BOXES).hq_logits, within=1e-5)


def hq_state(sam: Any, decoder: Any) -> dict[str, Tensor]:
    state = {name: value for name, value in sam.state_dict().items() if not name.startswith("mask_decoder.")}
    return state | {f"mask_decoder.{name}": value for name, value in decoder.state_dict().items()}


@pytest.mark.parametrize("wrapped", ["plain", "model", "module", "safetensors"])
def test_a_sam_checkpoint_of_any_name_is_sam(tmp_path: Path, wrapped: str) -> None:
    sam = small_sam()
    state = sam.state_dict()
    path = tmp_path / "renamed_hq_vit_h.bin"
    if wrapped == "safetensors":
        save_file(state, path)
    else:
        content = {"plain": state, "model": {"model": state, "epoch": 3}, "module": {f"module.{n}": v for n, v in state.items()}}
        torch.save(content[wrapped], path)
    loaded = load_model(path)
    assert (loaded.kind, loaded.name, loaded.network.config.mask_token) == ("SAM", f"sam-vit-{DIM}x{DEPTH}", "sam")
    logits, iou = published_sam(sam)
    output = loaded.network(IMAGE, BOXES)
    assert_close(loaded.network.served_logits(output), logits)
    assert_close(output.iou, iou)
    with pytest.raises(OptionError, match="has no HQ token; use sam"):
        load_model(path, mask_token="hq")


@pytest.mark.parametrize("token", [None, "sum", "hq", "sam"])
def test_an_hq_sam_checkpoint(tmp_path: Path, token: str | None) -> None:
    sam, decoder = small_sam(), small_hq_decoder()
    path = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save(hq_state(sam, decoder), path)
    loaded = load_model(path, mask_token=token)
    assert (loaded.kind, loaded.name) == ("HQ-SAM", f"sam-hq-vit-{DIM}x{DEPTH}")
    both = published_hq(sam, decoder, hq_token_only=False)
    hq = published_hq(sam, decoder, hq_token_only=True)
    wanted = {None: both, "sum": both, "hq": hq, "sam": both - hq}[token]
    assert_close(loaded.network.served_logits(loaded.network(IMAGE, BOXES)), wanted)


def ros_sam_run(folder: Path, sam: Any, decoder: Any, rank: int = 4, suffix: str = ".weight") -> dict[str, Tensor]:
    """Write what ``accelerate.save_state`` leaves of a ROS-SAM run; gives the state of SAM with the pairs folded into ``qkv``."""
    torch.manual_seed(3)
    state = {}
    folded = dict(sam.state_dict())
    for name, value in sam.state_dict().items():
        state[name.replace(".attn.qkv.", ".attn.qkv.qkv.")] = value
    for block in range(DEPTH):
        prefix = f"image_encoder.blocks.{block}.attn.qkv"
        for third, letter in ((0, "q"), (2, "v")):
            a, b = torch.randn(rank, DIM) * 0.1, torch.randn(DIM, rank) * 0.1
            state[f"{prefix}.linear_a_{letter}{suffix}"], state[f"{prefix}.linear_b_{letter}{suffix}"] = a, b
            weight = folded[f"{prefix}.weight"].clone()
            weight[third * DIM : (third + 1) * DIM] += b @ a
            folded[f"{prefix}.weight"] = weight
    folder.mkdir()
    save_file(decoder.state_dict(), folder / "model.safetensors")
    save_file(state, folder / "model_1.safetensors")
    (folder / "random_states_0.pkl").write_bytes(b"not read")
    return folded


@pytest.mark.parametrize("suffix", [".weight", ""])
def test_a_ros_sam_run_becomes_a_peft_adapter(tmp_path: Path, suffix: str) -> None:
    sam, decoder = small_sam(), small_hq_decoder()
    folded = ros_sam_run(tmp_path / "run", sam, decoder, suffix=suffix)
    loaded = load_model(tmp_path / "run")
    network = loaded.network
    assert (loaded.kind, loaded.name, network.config.mask_token) == ("ROS-SAM", f"ros-sam-vit-{DIM}x{DEPTH}", "hq")
    base = published_hq(sam, decoder, hq_token_only=True)
    sam.load_state_dict(folded)
    wanted = published_hq(sam, decoder, hq_token_only=True)
    assert_close(network.served_logits(network(IMAGE, BOXES)), wanted)
    with adapter_off(network.image_encoder):
        assert_close(network.served_logits(network(IMAGE, BOXES)), base)
    adapter = adapter_of(network.image_encoder)
    assert adapter is not None
    assert (adapter.peft_config["default"].r, adapter.peft_config["default"].lora_alpha) == (4, 4)

    # The same adapter through peft's own files, on the base alone; and merged into rosgeo's single file.
    save_peft(network.image_encoder, tmp_path / "adapter")
    bare = load_model(_saved(tmp_path / "base.pth", hq_state(small_sam(), decoder)), mask_token="hq").network
    load_peft(bare.image_encoder, tmp_path / "adapter")
    assert_same_network(bare, network)
    save_model(network, tmp_path / "whole.safetensors", dtype=torch.float32)
    assert adapter_of(network.image_encoder) is adapter
    whole = load_model(tmp_path / "whole.safetensors")
    assert (whole.kind, adapter_of(whole.network.image_encoder)) == ("rosgeo", None)
    assert_close(whole.network(IMAGE, BOXES).hq_logits, wanted)
    # And back to the published layout.
    merge_lora(network.image_encoder)
    fused = fused_state_dict(network.image_encoder)
    assert set(fused) == set(sam.image_encoder.state_dict())
    torch.testing.assert_close(fused["blocks.2.attn.qkv.weight"], folded["image_encoder.blocks.2.attn.qkv.weight"])


def _saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("variant", ["b", "l", "h"])
@pytest.mark.parametrize("hq", [False, True])
def test_published_variants_are_told_by_their_tensors(variant: str, hq: bool) -> None:
    from dataclasses import replace

    config = replace(SAM_CONFIGS[variant], hq=hq)
    with torch.device("meta"):
        state = fused_state_dict(RosSam(config))
    found = sort_out(state, "any.pth")
    assert found.config.name == ("sam-hq-vit-" if hq else "sam-vit-") + variant
    assert replace(found.config, name=config.name, mask_token="sam") == config
    assert f"image_encoder.blocks.{config.backbone_depth - 1}.attn.qkv.weight" in state
    wanted = {"b": 93_735_472, "l": 312_342_832, "h": 641_090_608}[variant]
    if not hq:
        # The published models' parameters, and the prompt encoder's fixed frequencies (a buffer of 2 x 128).
        assert sum(value.numel() for value in state.values()) == wanted + 256


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


def _bomb(path: Path) -> Path:
    path.write_bytes(pickle.dumps({"model": Bomb()}, protocol=2))
    return path


def _cut(path: Path, source: Path, share: float) -> Path:
    path.write_bytes(source.read_bytes()[: int(source.stat().st_size * share)])
    return path


def test_files_that_are_no_models_are_named_for_what_they_are(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sam, decoder = small_sam(), small_hq_decoder()
    whole = _saved(tmp_path / "whole.pth", sam.state_dict())
    lacking = dict(sam.state_dict())
    lacking.pop("prompt_encoder.no_mask_embed.weight")
    wrong = dict(sam.state_dict())
    wrong["mask_decoder.iou_token.weight"] = torch.zeros(1, 7)
    page = tmp_path / "page.pth"
    page.write_text("<!DOCTYPE html><html>404</html>")
    pointer = tmp_path / "pointer.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "half").mkdir()
    save_file(decoder.state_dict(), tmp_path / "half" / "model.safetensors")
    z = torch.zeros(1)
    cases: list[tuple[Path, str]] = [
        (page, "is a web page, not a weights file"),
        (pointer, "is a Git LFS pointer"),
        (tmp_path / "empty.pth", "neither a safetensors file nor a PyTorch checkpoint"),
        (tmp_path / "text.pth", "neither a safetensors file nor a PyTorch checkpoint"),
        (_cut(tmp_path / "cut.pth", whole, 0.7), "is not a whole PyTorch checkpoint"),
        (_cut(tmp_path / "cut.safetensors", tiny_model, 0.7), "is not a whole safetensors file"),
        (_bomb(tmp_path / "bomb.pth"), "a pickle that holds more than tensors; rosgeo does not execute it"),
        (_saved(tmp_path / "list.pth", [z]), "holds no state dict"),
        (_saved(tmp_path / "lacking.pth", lacking), "do not fit .*1 missing .first: prompt_encoder.no_mask_embed.weight"),
        (_saved(tmp_path / "wrong.pth", wrong), "do not fit .*size mismatch for mask_decoder.iou_token.weight"),
        (_saved(tmp_path / "decoder.pth", decoder.state_dict()), "an HQ decoder alone, without its image encoder"),
        (_saved(tmp_path / "sam2.pth", {"image_encoder.trunk.blocks.0.norm1.weight": z}), "a SAM 2 checkpoint"),
        (_saved(tmp_path / "mobile.pth", {"image_encoder.layers.0.blocks.0.conv1.c.weight": z}), "a MobileSAM"),
        (_saved(tmp_path / "dino.pth", {"blocks.0.ls1.gamma": z, "cls_token": z}), "a DINOv2 backbone alone"),
        (_saved(tmp_path / "unknown.pth", {"conv1.weight": z}), "a model that rosgeo does not know"),
        (tmp_path / "folder", "is not a ROS-SAM run: .*found no weights"),
        (tmp_path / "half", "is not a ROS-SAM run: .*model.safetensors is an HQ decoder alone"),
    ]
    for path, message in cases:
        with pytest.raises(ModelError, match=message) as caught:
            load_model(path)
        assert "\n" not in str(caught.value)
        assert path.name in str(caught.value)
    assert not Path("exploded").exists()
    with pytest.raises(InputFileNotFoundError, match="no such weights file"):
        load_model(tmp_path / "nowhere.pth")


def test_a_ros_sam_encoder_without_its_decoder_is_refused(tmp_path: Path) -> None:
    ros_sam_run(tmp_path / "run", small_sam(), small_hq_decoder())
    with pytest.raises(ModelError, match=r"a ROS-SAM encoder with LoRA, without its HQ decoder\. Pass the run's folder"):
        load_model(tmp_path / "run" / "model_1.safetensors")


def test_other_input_sizes(tmp_path: Path) -> None:
    path = _saved(tmp_path / "sam.pth", small_sam().state_dict())
    loaded = load_model(path, input_size=192)
    image = torch.zeros(1, 3, 192, 192, dtype=torch.uint8)
    assert loaded.network(image, BOXES).sam_logits.shape == (2, 1, 48, 48)
    with pytest.raises(UserInputError, match="takes multiples of 16 px from 128"):
        load_model(path, input_size=200)


def test_a_checkpoint_is_written_as_rosgeo_s_file_and_read_back(tmp_path: Path) -> None:
    loaded = load_model(_saved(tmp_path / "hq.pth", hq_state(small_sam(), small_hq_decoder())))
    save_model(loaded.network, tmp_path / "hq.safetensors", dtype=torch.float32)
    again = load_model(tmp_path / "hq.safetensors")
    assert again.network.config == loaded.network.config
    assert_same_network(again.network, loaded.network)
    huge = load_model(tmp_path / "hq.safetensors").network
    huge.image_encoder.pos_embed.data[0, 0, 0, 0] = 1e6
    with pytest.raises(ModelError, match=r"not written: image_encoder.pos_embed holds values that are not finite in float16"):
        save_model(huge, tmp_path / "huge.safetensors")
    assert not (tmp_path / "huge.safetensors").exists()
