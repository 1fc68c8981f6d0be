"""Runs the model over a batch of one layout, in few passes over memory.

The same arithmetic as the model's own `forward` (a test compares them), without the loops
that mixed layouts would need.
"""

from typing import Any

import torch
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention

from training.batches import Batch


def logits(model: Any, batch: Batch, patches: torch.Tensor | None) -> torch.Tensor:
    """The logits of the tokens after the video: examples × tokens × vocabulary.

    `patches` are (examples · pairs) × patches × 1176; None for text alone.
    """
    device = model.lm_head.weight.device
    ids = batch.ids.to(device)
    places = positions(batch, model.config.vision_config.tokens_per_second, device)
    text_rope = _text_rope(model.model.language_model, places).to(model.dtype)
    if patches is None:
        return read(model, ids, text_rope)
    vision_rope = _vision_rope(model.model.visual, *batch.grid).to(model.dtype)
    return read(model, ids, text_rope, patches.to(model.dtype), vision_rope, batch.prefix)


def read(
    model: Any,
    ids: torch.Tensor,
    text_rope: torch.Tensor,
    patches: torch.Tensor | None = None,
    vision_rope: torch.Tensor | None = None,
    prefix: int = 0,
) -> torch.Tensor:
    """See `logits`; ropes are cosines and sines, one after the other."""
    language = model.model.language_model
    states = language.embed_tokens(ids)
    start = 0
    if patches is not None:
        seen = see(model.model.visual, patches, vision_rope)
        seen = seen.reshape(len(ids), -1, seen.shape[-1])
        start = prefix + seen.shape[1]
        states = torch.cat([states[:, :prefix], seen, states[:, start:]], 1)
    for layer in language.layers:
        attention, normal = layer.self_attn, _even(layer.input_layernorm, states)
        heads = (*states.shape[:2], -1, attention.head_dim)
        query = _turn(attention.q_proj(normal).view(heads), text_rope).transpose(1, 2)
        key = _turn(attention.k_proj(normal).view(heads), text_rope).transpose(1, 2)
        value = attention.v_proj(normal).view(heads).transpose(1, 2)
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True)
        states = states + attention.o_proj(mixed.transpose(1, 2).flatten(2))
        states = states + layer.mlp(_even(layer.post_attention_layernorm, states))
    return model.lm_head(_even(language.norm, states[:, start:]))


def see(visual: Any, patches: torch.Tensor, rope: torch.Tensor | None) -> torch.Tensor:
    """The video's tokens, (examples · pairs · cells) × hidden.

    All layers attend within a pair of frames, so that the order of cells does not matter.
    """
    assert rope is not None
    states = linear(patches, visual.patch_embed.proj.weight.flatten(1))
    for block in visual.blocks:
        attention, normal = block.attn, _even(block.norm1, states)
        parts = attention.qkv(normal).unflatten(-1, (3, attention.num_heads, attention.head_dim))
        query, key = _turn(parts[:, :, 0], rope), _turn(parts[:, :, 1], rope)
        mixed = scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), parts[:, :, 2].transpose(1, 2)
        )
        states = states + attention.proj(mixed.transpose(1, 2).flatten(2))
        states = states + block.mlp(_even(block.norm2, states))
    merger = visual.merger
    return merger.mlp(_even(merger.ln_q, states).reshape(-1, 4 * states.shape[-1]))


def _turn(states: torch.Tensor, rope: torch.Tensor) -> torch.Tensor:
    """Rotary positions put into heads; `rope` is 2 × (examples ×) tokens × head."""
    half = states.shape[-1] // 2
    turned = torch.cat([-states[..., half:], states[..., :half]], -1)
    cos, sin = rope[0].unsqueeze(-2), rope[1].unsqueeze(-2)
    return states * cos + turned * sin


def _even(norm: Any, states: torch.Tensor) -> torch.Tensor:
    """What the norm gives, by a kernel that passes over memory once."""
    return rms_norm(states, (states.shape[-1],), norm.weight, norm.variance_epsilon)


def _text_rope(language: Any, places: torch.Tensor) -> torch.Tensor:
    """2 × examples × tokens × head, from places in time, height and width."""
    rotary = language.rotary_emb
    sections = language.config.rope_parameters["mrope_section"]
    frequencies = rotary.inv_freq.float().split(sections)
    angles = torch.cat(
        [place[..., None].float() * part for place, part in zip(places, frequencies, strict=True)],
        -1,
    )
    angles = torch.cat([angles, angles], -1)
    return torch.stack([angles.cos(), angles.sin()])


def _vision_rope(visual: Any, width: int, height: int) -> torch.Tensor:
    """2 × patches × head, for the patches of a pair, the four of a cell after one another."""
    device = visual.patch_embed.proj.weight.device
    across, down = width // 14, height // 14
    rows, columns = torch.meshgrid(
        torch.arange(down, device=device), torch.arange(across, device=device), indexing="ij"
    )
    places = torch.stack([rows, columns], -1)
    places = places.reshape(down // 2, 2, across // 2, 2, 2).permute(0, 2, 1, 3, 4).reshape(-1, 2)
    head = visual.blocks[0].attn.head_dim
    frequencies = 10_000 ** -(torch.arange(0, head // 2, 2, device=device).float() / (head // 2))
    angles = (places[..., None] * frequencies).flatten(1)
    angles = torch.cat([angles, angles], -1)
    return torch.stack([angles.cos(), angles.sin()])


def positions(
    batch: Batch, tokens_per_second: int, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Where each token stands in time, height and width: 3 × examples × tokens.

    The rule of the model's authors, which vLLM follows: times are rounded down, and the text after
    a video begins one after the largest position in it.
    """
    examples, length = batch.ids.shape
    counted = torch.arange(length, device=device)
    if batch.seconds_per_pair is None or batch.tracks is None:
        return counted.expand(3, examples, length)
    pairs, columns, rows = batch.tracks.shape[2] // 2, batch.grid[0] // 28, batch.grid[1] // 28
    step = batch.seconds_per_pair.to(device).double() * tokens_per_second
    times = (torch.arange(pairs, device=device) * step[:, None]).long()  # examples × pairs
    shape = (examples, pairs, rows, columns)
    video = torch.stack(
        [
            times[:, :, None, None].expand(shape),
            torch.arange(rows, device=device)[:, None].expand(shape),
            torch.arange(columns, device=device).expand(shape),
        ]
    ).reshape(3, examples, -1)
    found = counted.expand(3, examples, length).clone()
    start, end = batch.prefix, batch.prefix + video.shape[2]
    found[:, :, start:end] = video + start
    after = start + video.amax((0, 2)) + 1
    found[:, :, end:] = after[None, :, None] + counted[: length - end]
    return found
