"""Draws a batch's frames on the model's device, as the workers' decoder would deliver them."""

import torch

from clipfleet_producer.samples.paint import cover, texture
from clipfleet_producer.samples.stage import ANGLE, BLUE, RADIUS, RED, SHAPE, VISIBLE, WRAPS, X, Y
from training.batches import Batch

# The processor's own numbers (OpenAI's CLIP).
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

_GAIN, _OFFSET, _SOFT = (0.96, 1.04), (-5.0, 5.0), 0.34
_GRAIN, _BLOCKS = 4.0, 4.0  # of 255


def draw_patches(
    batch: Batch, device: torch.device, generator: torch.Generator | None = None
) -> torch.Tensor:
    """A batch's frames, as patches for the model: (examples · pairs) × patches × 1176.

    With a generator they are degraded as by an encoder.
    """
    assert batch.tracks is not None
    assert batch.ground is not None
    tracks, ground = batch.tracks.to(device), batch.ground.to(device)
    width, height = batch.size
    across, down = batch.grid
    xs = (torch.arange(across, device=device) + 0.5) * (width / across)
    ys = (torch.arange(down, device=device) + 0.5) * (height / down)
    sizes = torch.tensor(
        [width, height, max(width / across, height / down)], dtype=torch.float32, device=device
    )
    if generator is None:
        return patchify(paint(tracks, ground, xs, ys, sizes))
    examples, count = len(tracks), tracks.shape[2]
    damage = torch.rand((examples, 9), device=device, generator=generator)
    grain = torch.randn((examples, count, down, across), device=device, generator=generator)
    coarse = (examples * count, 3, down // 7, across // 7)
    blocks = torch.randn(coarse, device=device, generator=generator)
    # bfloat16 holds the whole numbers up to 256, and halves what moves through memory.
    low = torch.bfloat16
    frames = paint(tracks, ground, xs, ys, sizes, low)
    return patchify(spoil(frames, damage.to(low), grain.to(low), blocks.to(low)))


def paint(
    tracks: torch.Tensor,
    ground: torch.Tensor,
    xs: torch.Tensor,
    ys: torch.Tensor,
    sizes: torch.Tensor,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Frames: examples × frames × height × width × 3, 0 to 255.

    `xs` and `ys` are the pixels' centres in the source; `sizes` its width, its height, and how
    large a pixel is in it.
    """
    width, height, soft = sizes.unbind()
    numbers = ground.T[:, :, None, None]  # 9 × examples × 1 × 1
    light = texture(torch, numbers, xs[None, None, :], ys[None, :, None], soft)
    shade = light * numbers[3]
    frames = (ground[:, None, None, :3] + shade[..., None])[:, None].clip(0, 255).to(dtype)
    frames = frames.expand(-1, tracks.shape[2], -1, -1, -1).contiguous()
    for number in range(tracks.shape[1]):
        there = (tracks[:, number, :, VISIBLE] > 0).any(1).nonzero()[:, 0]
        track = tracks[there, number, :, None, None]  # examples × frames × 1 × 1 × 10
        dx, dy = xs - track[..., X], ys[:, None] - track[..., Y]
        wraps = track[..., WRAPS] > 0
        dx = torch.where(wraps, (dx + width / 2) % width - width / 2, dx)
        dy = torch.where(wraps, (dy + height / 2) % height - height / 2, dy)
        covered = cover(
            torch, track[..., SHAPE], dx, dy, track[..., RADIUS], track[..., ANGLE], soft
        )
        covered = (covered * track[..., VISIBLE])[..., None].to(frames.dtype)
        under = frames[there]
        frames[there] = under + covered * (track[..., RED : BLUE + 1].to(frames.dtype) - under)
    return frames


def spoil(
    frames: torch.Tensor, damage: torch.Tensor, grain: torch.Tensor, blocks: torch.Tensor
) -> torch.Tensor:
    """What encoders do to pictures, roughly: softer, noisier, other colours; rounded to 8 bits.

    `damage`: examples × 9, from 0 to 1, how much of each. `grain` and `blocks` are fine and coarse
    noise of deviation 1.
    """
    examples, count, height, width, _ = frames.shape
    much = damage[:, None, None, None, :]
    gain = _GAIN[0] + (_GAIN[1] - _GAIN[0]) * much[..., 0:3]
    offset = _OFFSET[0] + (_OFFSET[1] - _OFFSET[0]) * much[..., 3:6]
    frames = frames * gain + offset
    soft = _SOFT * (1.5 * much[..., 6:7]).clip(max=1)
    for axis in (2, 3):
        sides = frames.roll(1, axis) + frames.roll(-1, axis)
        frames = frames * (1 - soft) + sides * (soft / 2)
    coarse = torch.nn.functional.interpolate(blocks, size=(height, width), mode="bilinear")
    coarse = coarse.reshape(examples, count, 3, height, width).permute(0, 1, 3, 4, 2)
    noise = grain[..., None] * (_GRAIN * much[..., 7:8]) + coarse * (_BLOCKS * much[..., 8:9])
    return (frames + noise).clip(0, 255).round()


def patchify(frames: torch.Tensor) -> torch.Tensor:
    """Normalised patches, (examples · pairs) × patches × 1176, in the processor's order."""
    mean = torch.tensor(MEAN, device=frames.device)
    std = torch.tensor(STD, device=frames.device)
    examples, count, height, width, _ = frames.shape
    pixels = torch.addcmul(-mean / std, frames, 1 / (255 * std)).to(frames.dtype)
    pixels = pixels.permute(0, 1, 4, 2, 3)
    pixels = pixels.reshape(
        examples, count // 2, 2, 3, height // 28, 2, 14, width // 28, 2, 14
    ).permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9)
    return pixels.reshape(examples * (count // 2), (height // 14) * (width // 14), 1176)
