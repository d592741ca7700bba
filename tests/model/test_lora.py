"""LoRA by peft on both kinds of encoder, and adapter files on their bases."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rosgeo.errors import InputFileNotFoundError, ModelError, OptionError
from rosgeo.model import registry
from rosgeo.model.adapters import base_of_adapter, encoder_digest, load_adapter, save_adapter
from rosgeo.model.checkpoint import load_model, save_model
from rosgeo.model.lora import LoraOptions, adapter_off, add_lora, load_peft, merge_lora, save_peft
from rosgeo.model.network import SAM_CONFIGS, ModelConfig, RosSam
from rosgeo.model.registry import open_model
from torch import Tensor

BOXES = torch.tensor([[10.0, 12, 40, 50]])


def tiny_sam() -> ModelConfig:
    return replace(
        SAM_CONFIGS["b"], name="tiny-sam", input_size=128, backbone_dim=32, backbone_depth=3, backbone_heads=2, position_grid=8,
        early_blocks=(1,), global_blocks=(1,), window_size=3, embed_dim=32, decoder_mlp_dim=32, hq=True, mask_token="hq",
    )  # fmt: skip


@pytest.fixture(params=["dinov2", "sam"])
def network(request: pytest.FixtureRequest, tiny_config: ModelConfig) -> RosSam:
    torch.manual_seed(0)
    return RosSam(tiny_config if request.param == "dinov2" else tiny_sam()).eval()


def picture(network: RosSam) -> Tensor:
    side = network.config.input_size
    return torch.randint(0, 256, (1, 3, side, side), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def logits(network: RosSam) -> Tensor:
    return network(picture(network), BOXES).hq_logits


def train_a_little(network: RosSam) -> None:
    """Stands for training: changes all that is trainable."""
    torch.manual_seed(2)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * 0.05


def encoder_names(network: RosSam) -> set[str]:
    return {n for n, p in network.image_encoder.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("options", [LoraOptions(4), LoraOptions(2, alpha=8.0, last_block=False), LoraOptions(0)])
def test_adapter_off_is_the_base_and_merged_is_unmerged(network: RosSam, options: LoraOptions) -> None:
    base, names = logits(network), set(network.state_dict())
    add_lora(network.image_encoder, options)
    # LoRA starts as nothing.
    assert torch.equal(logits(network), base)
    train_a_little(network)
    for parameter in network.prompt_encoder.parameters():
        parameter.requires_grad_(False)
    trained = logits(network)
    assert not torch.allclose(trained, base, atol=1e-3)
    with adapter_off(network.image_encoder):
        decoder_only = logits(network)
    assert torch.equal(logits(network), trained)
    untrained = RosSam(network.config).eval()
    untrained.load_state_dict({n: v for n, v in network.state_dict().items() if not n.startswith("image_encoder.")}, strict=False)
    torch.manual_seed(0)
    fresh = RosSam(network.config).image_encoder
    untrained.image_encoder.load_state_dict(fresh.state_dict())
    assert torch.equal(decoder_only, logits(untrained))
    merge_lora(network.image_encoder)
    merged = logits(network)
    assert float((merged - trained).abs().max() / trained.abs().max()) < 1e-5
    assert set(network.state_dict()) == names
    merge_lora(network.image_encoder)
    assert torch.equal(logits(network), merged)


def test_query_value_and_the_last_block_learn(network: RosSam) -> None:
    add_lora(network.image_encoder, LoraOptions(4))
    learnt = encoder_names(network)
    prefix = "backbone.blocks" if network.config.encoder == "dinov2" else "blocks"
    pairs = {f"{prefix}.{i}.attn.{p}.lora_{s}.default.weight" for i in (0, 1) for p in ("query", "value") for s in "AB"}
    assert pairs <= learnt
    assert all(name.startswith(f"{prefix}.2.modules_to_save.") for name in learnt - pairs)
    for parameter in network.parameters():
        parameter.grad = None
    network(picture(network), BOXES).hq_logits.square().mean().backward()
    b_names = {n for n in pairs if "lora_B" in n}
    assert all(dict(network.image_encoder.named_parameters())[n].grad.abs().max() > 0 for n in b_names)
    with pytest.raises(ModelError, match="has an adapter already"):
        add_lora(network.image_encoder, LoraOptions(4))


def test_every_block_without_the_last_one_trained(network: RosSam) -> None:
    add_lora(network.image_encoder, LoraOptions(3, last_block=False))
    assert len(encoder_names(network)) == 3 * 2 * 2
    assert all("lora_" in name for name in encoder_names(network))
    for wrong in (-1, 0):
        with pytest.raises(OptionError, match=f"LoRA rank {wrong}: expected at least 1"):
            LoraOptions(wrong, last_block=False)


def test_peft_s_own_format(network: RosSam, tmp_path: Path) -> None:
    base = {name: value.clone() for name, value in network.state_dict().items()}
    add_lora(network.image_encoder, LoraOptions(4))
    network.prompt_encoder.requires_grad_(False)
    network.mask_decoder.requires_grad_(False)
    train_a_little(network)
    save_peft(network.image_encoder, tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 4)
    other = RosSam(network.config).eval()
    other.load_state_dict(base)
    load_peft(other.image_encoder, tmp_path / "adapter")
    assert torch.equal(logits(other), logits(network))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputFileNotFoundError, match=r"is not an adapter of peft: it has no adapter_config\.json"):
        load_peft(other.image_encoder, tmp_path / "empty")
    wider = RosSam(replace(network.config, backbone_dim=64)).eval()
    with pytest.raises(ModelError, match="does not fit this model: size mismatch") as caught:
        load_peft(wider.image_encoder, tmp_path / "adapter")
    assert "\n" not in str(caught.value)


@pytest.fixture
def trained(network: RosSam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Tensor]:
    """A base by the name of a model, an adapter file trained on it, and the logits of both together."""
    save_model(network, tmp_path / "base.safetensors", dtype=torch.float32)
    known = registry.resolve_model
    monkeypatch.setattr(registry, "resolve_model", lambda m: tmp_path / "base.safetensors" if str(m) == "the-base" else known(m))
    add_lora(network.image_encoder, LoraOptions(4))
    train_a_little(network)
    save_adapter(
        network, tmp_path / "a.safetensors", base="the-base", lora=LoraOptions(4), card={"data": "roofs"}, dtype=torch.float32
    )
    return tmp_path / "base.safetensors", tmp_path / "a.safetensors", logits(network)


def test_an_adapter_file_on_its_base(trained: tuple[Path, Path, Tensor], tmp_path: Path) -> None:
    base, adapter, wanted = trained
    assert base_of_adapter(adapter) == "the-base"
    assert base_of_adapter(base) is None
    for loaded in (open_model(adapter), open_model("the-base", adapter=adapter)):
        # Not to the bit: loaded networks run their convolutions in another memory format.
        assert float((logits(loaded.network) - wanted).abs().max() / wanted.abs().max()) < 1e-5
        assert loaded.adapter is not None
        assert (loaded.adapter["file"], loaded.card) == ("a.safetensors", {"data": "roofs"})
    assert adapter.stat().st_size < base.stat().st_size * 1.2
    save_model(open_model(adapter).network, tmp_path / "merged.safetensors", dtype=torch.float32)
    merged = logits(load_model(tmp_path / "merged.safetensors").network)
    assert float((merged - wanted).abs().max() / wanted.abs().max()) < 1e-5
    # A size of its own, unless one is asked for.
    side = load_model(base).network.config.input_size
    larger = 2 * side if side < 128 else side + 64
    sizes = [open_model(adapter, input_size=i).network.config.input_size for i in (None, larger)]
    assert sizes == [side, larger]
    with pytest.raises(OptionError, match="expected hq, sam or sum"):
        open_model(adapter, mask_token="best")
    with pytest.raises(OptionError, match="is an adapter itself, for the-base; pass one adapter only"):
        open_model(adapter, adapter=adapter)


def test_an_adapter_is_refused_on_another_base(trained: tuple[Path, Path, Tensor], tmp_path: Path) -> None:
    base, adapter, _ = trained
    other = load_model(base)
    parameter = next(p for n, p in other.network.image_encoder.named_parameters() if n.endswith("blocks.1.norm1.weight"))
    parameter.data[0] += 1e-3
    with pytest.raises(ModelError, match=r"a\.safetensors was trained on the-base \(encoder [0-9a-f]{12}\), not on"):
        load_adapter(other, adapter)
    deeper = RosSam(replace(other.network.config, backbone_depth=4))
    save_model(deeper, tmp_path / "deeper.safetensors")
    with pytest.raises(ModelError, match="was trained on the-base"):
        open_model(tmp_path / "deeper.safetensors", adapter=adapter)
    with pytest.raises(ModelError, match="not an adapter of rosgeo"):
        load_adapter(load_model(base), base)


def test_a_damaged_adapter_is_refused(trained: tuple[Path, Path, Tensor]) -> None:
    base, adapter, _ = trained
    content = bytearray(adapter.read_bytes())
    content[-5] ^= 0x40
    adapter.write_bytes(content)
    with pytest.raises(ModelError, match="is damaged: its tensors do not have the checksum"):
        open_model(base, adapter=adapter)
    adapter.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="is not a whole safetensors file"):
        open_model(base, adapter=adapter)


def test_the_digest_is_of_the_encoder_alone(network: RosSam) -> None:
    digest = encoder_digest(network.image_encoder)
    network.image_encoder.neck[0].weight.data += 1
    add_lora(network.image_encoder, LoraOptions(2))
    train_a_little(network)
    assert encoder_digest(network.image_encoder) == digest
    assert encoder_digest(network.half().float().image_encoder) != digest
