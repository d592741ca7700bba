"""SAM's image encoder against segment_anything's own on random weights."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from rosgeo.model import layers, sam_vit
from rosgeo.model._segment_anything import modeling
from rosgeo.model.dinov2 import DinoV2Encoder
from rosgeo.model.layers import fused_state_dict
from rosgeo.model.sam_vit import SamVitEncoder, make_windows, relative_table
from torch import Tensor, nn


def pair(
    size: int = 128, *, window: int = 7, dim: int = 64, depth: int = 4, heads: int = 4, global_blocks: tuple[int, ...] = (1, 3)
) -> tuple[nn.Module, SamVitEncoder]:
    """segment_anything's encoder with random weights, position embeddings among them, and ours with its state dict."""
    theirs = modeling.image_encoder.ImageEncoderViT(
        img_size=size,
        embed_dim=dim,
        depth=depth,
        num_heads=heads,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        qkv_bias=True,
        use_rel_pos=True,
        rel_pos_zero_init=True,
        window_size=window,
        global_attn_indexes=global_blocks,
        out_chans=256,
    )
    generator = torch.Generator().manual_seed(1)
    for parameter in theirs.parameters():
        # Biases large: they are what padding looks like to attention.
        parameter.data = torch.randn(parameter.shape, generator=generator) * (0.1 if parameter.ndim > 1 else 0.5)
    ours = SamVitEncoder(
        input_size=size,
        dim=dim,
        depth=depth,
        num_heads=heads,
        position_grid=size // 16,
        global_blocks=global_blocks,
        window_size=window,
        early_blocks=global_blocks[:1],
    )
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval(), ours.eval()


def picture(size: int, batch: int = 1) -> Tensor:
    return torch.randint(0, 256, (batch, 3, size, size), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)


def relative_error(got: Tensor, want: Tensor) -> float:
    assert got.shape == want.shape
    return float((got.detach().float() - want.detach()).abs().max() / want.detach().abs().max())


def reference(theirs: nn.Module, image: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """Embedding, and the output of a block as a map."""
    kept: list[Tensor] = []
    hook = theirs.blocks[block].register_forward_hook(lambda _module, _input, output: kept.append(output))
    embedding = theirs(image)
    hook.remove()
    return embedding, kept[0].permute(0, 3, 1, 2)


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize(
    ("size", "window", "global_blocks"),
    [
        (224, 7, (1, 3)),  # windows that fit the grid
        (128, 7, (1, 3)),  # padding
        (256, 14, (3,)),  # padding larger than what is left in the last window
        (128, 14, (1,)),  # a window larger than the grid
        (128, 7, (0, 1, 2, 3)),  # all global
    ],
)
def test_the_function_is_segment_anythings(size: int, window: int, global_blocks: tuple[int, ...], gradients: bool) -> None:
    theirs, ours = pair(size, window=window, global_blocks=global_blocks)
    image = picture(size, 2)
    with torch.set_grad_enabled(gradients):
        embedding, block = reference(theirs, ours.normalise(image), global_blocks[0])
        output = ours(image)
        last, early = ours.backbone(ours.normalise(image))
    assert relative_error(output.embedding, embedding) < 1e-4
    assert relative_error(output.early, block) < 1e-4
    assert torch.equal(ours.neck(last), output.embedding)
    assert torch.equal(early, output.early)
    assert embedding.shape == (2, 256, ours.grid_size, ours.grid_size)


def test_the_function_is_segment_anythings_at_its_real_geometry() -> None:
    theirs, ours = pair(1024, window=14, dim=32, depth=2, heads=2, global_blocks=(1,))
    image = picture(1024)
    with torch.inference_mode():
        embedding, block = reference(theirs, ours.normalise(image), 1)
        output = ours(image)
    assert relative_error(output.embedding, embedding) < 1e-4
    assert relative_error(output.early, block) < 1e-4


@pytest.mark.parametrize("limit", [1, 200, 5_000, 40_000])
def test_working_piece_by_piece_changes_nothing(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    _theirs, ours = pair(128)
    image = picture(128, 2)
    with torch.no_grad():
        want = ours(image)
        monkeypatch.setattr(sam_vit, "_BIAS_PER_THREAD", limit)
        monkeypatch.setattr(sam_vit, "_TOKENS_PER_THREAD", 7)
        got = ours(image)
    assert relative_error(got.embedding, want.embedding) < 1e-5
    assert relative_error(got.early, want.early) < 1e-5


def test_several_early_blocks_are_joined() -> None:
    _theirs, ours = pair()
    image = picture(128)
    with torch.no_grad():
        want = []
        for early_blocks in ((1,), (2,), (1, 2)):
            ours.early_blocks = early_blocks
            want.append(ours(image).early)
    assert torch.equal(torch.cat(want[:2], dim=1), want[2])
    assert SamVitEncoder(dim=8, depth=3, num_heads=1, global_blocks=(), early_blocks=(0, 2)).early_dim == 16


def test_the_fused_state_dict_goes_both_ways_bit_for_bit() -> None:
    theirs, ours = pair()
    fused = fused_state_dict(ours)
    assert list(fused) == list(theirs.state_dict())
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in fused.items())
    theirs.load_state_dict(fused)
    # Wherever the attention stands: in a container, another encoder, on its own.
    for module in (nn.ModuleDict({"image_encoder": ours}), DinoV2Encoder(dim=16, depth=3, num_heads=2), ours.blocks[0].attn):
        separate, fused = module.state_dict(), fused_state_dict(module)
        parts = [name for name in separate if {"query", "key", "value"} & set(name.split("."))]
        assert 3 * sum("qkv" in name for name in fused) == len(parts) > 0
        for parameter in module.parameters():
            parameter.data = torch.zeros_like(parameter)
        module.load_state_dict(fused)
        assert all(torch.equal(value, separate[name]) for name, value in module.state_dict().items())


def test_gradients_are_segment_anythings() -> None:
    theirs, ours = pair(128)
    image = ours.normalise(picture(128))
    theirs(image).square().mean().backward()
    ours.neck(ours.backbone(image)[0]).square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in ours.named_parameters()}
    for name, parameter in theirs.named_parameters():
        parts = [name.replace("qkv", part) for part in ("query", "key", "value")] if "qkv" in name else [name]
        assert relative_error(torch.cat([gradients[part] for part in parts]), parameter.grad) < 1e-4, name


def test_gradients_reach_query_and_value_alone_when_the_rest_is_frozen() -> None:
    _theirs, ours = pair(128)
    ours.requires_grad_(False)
    trained = [getattr(block.attn, part) for block in ours.blocks for part in ("query", "value")]
    for layer in trained:
        layer.requires_grad_(True)
    ours(picture(128)).embedding.square().mean().backward()
    assert all(layer.weight.grad.abs().max() > 0 for layer in trained)
    assert ours.blocks[0].attn.key.weight.grad is None


def test_bf16_is_near_float32() -> None:
    _theirs, ours = pair(128)
    image = picture(128)
    with torch.inference_mode():
        want = ours(image).embedding
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert relative_error(ours(image).embedding, want) < 0.03
        whole = ours.bfloat16()(image)
    assert whole.embedding.dtype == whole.early.dtype == torch.bfloat16
    assert relative_error(whole.embedding, want) < 0.1


def test_gradients_under_bf16_autocast() -> None:
    _theirs, ours = pair(128)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ours(picture(128)).embedding.float().square().mean()
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in ours.parameters())


def test_a_batch_is_its_pictures() -> None:
    _theirs, ours = pair(128)
    images = picture(128, 3)
    with torch.inference_mode():
        together = ours(images)
        alone = [ours(image[None]) for image in images]
    for got, want in zip(together, zip(*alone, strict=True), strict=True):
        assert relative_error(got, torch.cat(want)) < 1e-5


def test_channels_last_changes_nothing() -> None:
    _theirs, ours = pair(128)
    with torch.inference_mode():
        want = ours(picture(128)).embedding
        got = ours.to(memory_format=torch.channels_last)(picture(128)).embedding
    assert relative_error(got, want) < 1e-5


def test_other_input_sizes_interpolate_the_positions() -> None:
    ours = SamVitEncoder(
        input_size=96, dim=16, depth=2, num_heads=2, position_grid=8, global_blocks=(1,), window_size=7, early_blocks=(1,)
    )
    # A ramp over the grid stays a ramp in its middle.
    ours.pos_embed.data = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 8, 8, 16).clone()
    torch.testing.assert_close(ours.positions(16)[0, 8, 4:8, 0], torch.tensor([1.75, 2.25, 2.75, 3.25]), atol=0.05, rtol=0)
    assert ours.positions(8) is ours.pos_embed
    assert ours(picture(96)).embedding.shape == (1, 256, 6, 6)


@pytest.mark.parametrize("size", [5, 7, 9, 14])
def test_relative_positions_are_segment_anythings(size: int) -> None:
    stored = torch.randn(13, 6)
    torch.testing.assert_close(relative_table(stored, size).transpose(1, 2), modeling.image_encoder.get_rel_pos(size, size, stored))


@pytest.mark.parametrize("grid", [3, 7, 8, 15])
def test_windows_are_segment_anythings(grid: int) -> None:
    tokens = torch.arange(1.0, 1 + grid**2)
    theirs, _padded = modeling.image_encoder.window_partition(tokens.view(1, grid, grid, 1), 7)
    windows = make_windows(grid, 7, 2, torch.device("cpu"))
    assert windows.padded == (grid % 7 > 0)
    # Two pictures, each with a token for its padding where there is any.
    pictures = [torch.cat([sign * tokens, torch.zeros(int(windows.padded))]) for sign in (1, -1)]
    filled = torch.cat(pictures)[windows.into]
    assert torch.equal(filled, torch.cat([theirs.flatten(), -theirs.flatten()]))
    assert torch.equal(filled[windows.back], torch.cat([tokens, -tokens]))


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="not a multiple"):
        SamVitEncoder(input_size=1000)
    with pytest.raises(ValueError, match="blocks must lie in"):
        SamVitEncoder(dim=8, depth=2, num_heads=1, global_blocks=(1,), early_blocks=(2,))


@pytest.mark.parametrize("limit", [1, 3_000, 1 << 19])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_attention_by_products_is_scaled_dot_product_attention(
    monkeypatch: pytest.MonkeyPatch, limit: int, dtype: torch.dtype, tolerance: float
) -> None:
    monkeypatch.setattr(layers, "_LOGITS_PER_THREAD", limit)
    generator = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(2, 3, 49, 8, generator=generator) for _ in range(3))
    along_h = torch.randn(2, 3, 7, 7, 7, 1, generator=generator)
    along_w = torch.randn(2, 3, 7, 7, 1, 7, generator=generator)
    bias = (along_h + along_w).reshape(2, 3, 49, 49)
    want = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    got = sam_vit._attend_by_products(*(t.to(dtype) for t in (q, k, v, along_h, along_w)))
    assert got.dtype == dtype
    assert relative_error(got, want) < tolerance


def test_global_blocks_in_bf16_on_a_cpu_go_by_products(monkeypatch: pytest.MonkeyPatch) -> None:
    _theirs, ours = pair(384, window=14, global_blocks=(1,), depth=2)
    image = picture(384)
    called = []
    by_products = sam_vit._attend_by_products
    monkeypatch.setattr(sam_vit, "_attend_by_products", lambda *a: called.append(a[0].shape) or by_products(*a))
    with torch.no_grad():
        want = ours(image).embedding
        assert called == []
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = ours(image).embedding
    assert called == [(1, 4, 576, 16)]
    assert relative_error(got, want) < 2e-2
