"""Frames reach the vision encoder as uint8 and become patches on the model's device.

The models' own processors convert to float, normalise and patchify on the CPU: 437 ms on one thread
for 16 frames of 1008 × 560, and four bytes a value to send to the GPU's process, while the GPU
waits. Here the processor only counts the patches; the bytes travel untouched, and the model
normalises and patchifies them where it runs, with the same operations in the same order.

Frames of another dtype, and frames that the processor is to resize, go through the model's own
processor.
"""

import math
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from transformers import AutoVideoProcessor, BatchFeature
from vllm.model_executor.models import qwen2_5_vl, qwen3_vl
from vllm.multimodal import MULTIMODAL_REGISTRY

# Frames of a raw pack are a read-only view of its bytes. Nothing here writes to them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


class _RawVideos:
    """Mixed into a model's video processor."""

    temporal_patch_size: int
    patch_size: int
    do_resize: bool

    def preprocess(self, videos: Any, **kwargs: Any) -> BatchFeature:
        """As the processor's own, except that uint8 frames stay bytes in their own order.

        `pixel_values_videos` is then uint8, patches × values in a patch: the shape is that of
        patches, the order that of time × height × width × 3.
        """
        raw = not kwargs.get("do_resize", self.do_resize) and not kwargs.get("do_sample_frames")
        clips = _clips(videos) if raw else []
        if not clips or any(clip.dtype != np.uint8 or clip.shape[-1] != 3 for clip in clips):
            made: BatchFeature = super().preprocess(videos, **kwargs)  # type: ignore[misc]
            return made
        pixels, grids = [], []
        for clip in clips:
            odd = -len(clip) % self.temporal_patch_size
            frames = np.concatenate([clip, clip[-1:].repeat(odd, axis=0)]) if odd else clip
            time, height, width, _ = frames.shape
            grid = (
                time // self.temporal_patch_size,
                height // self.patch_size,
                width // self.patch_size,
            )
            bytes_ = torch.from_numpy(np.ascontiguousarray(frames))
            pixels.append(bytes_.reshape(math.prod(grid), -1))
            grids.append(grid)
        pixels_of_all = pixels[0] if len(pixels) == 1 else torch.cat(pixels)
        made = BatchFeature(
            {"pixel_values_videos": pixels_of_all, "video_grid_thw": torch.tensor(grids)}
        )
        if kwargs.get("return_metadata"):
            _, made["video_metadata"] = self._decode_and_sample_videos(  # type: ignore[attr-defined]
                videos, video_metadata=kwargs.get("video_metadata"), do_sample_frames=False
            )
        return made


def _clips(videos: Any) -> list[Any]:
    """The clips among a processor's arguments: one, a list, or a list of lists."""
    if isinstance(videos, np.ndarray):
        return [videos] if videos.ndim == 4 else list(videos)
    if isinstance(videos, (list, tuple)):
        return [clip for video in videos for clip in _clips(video)]
    return []


def leave_bytes_alone(processor: Any) -> None:
    """Make this one video processor pass bytes on, as `_RawVideos` does."""
    own = type(processor)
    if not issubclass(own, _RawVideos):
        processor.__class__ = type(own.__name__, (_RawVideos, own), {})


class _RawProcessor:
    """Mixed into vLLM's description of a model's processor."""

    def get_hf_processor(self, **kwargs: object) -> Any:
        """The model's processor, with a video processor that passes bytes on."""
        processor = super().get_hf_processor(**kwargs)  # type: ignore[misc]
        leave_bytes_alone(processor.video_processor)
        return processor


class Patches:
    """Turns bytes into patches, as the model's video processor would have."""

    def __init__(self, processor: Any) -> None:
        self._patch, self._merge = processor.patch_size, processor.merge_size
        self._pair = processor.temporal_patch_size
        self._mean, self._std = (
            torch.tensor(numbers) * (1.0 / processor.rescale_factor)
            for numbers in (processor.image_mean, processor.image_std)
        )

    def __call__(self, clip: torch.Tensor, grid: list[int], dtype: torch.dtype) -> torch.Tensor:
        """Patches × values in a patch. `grid` is (steps of time, patches high, patches wide)."""
        time, high, wide = grid
        patch, merge, pair = self._patch, self._merge, self._pair
        shape = (time * pair, high * patch, wide * patch, 3)
        device = clip.device
        normal = clip.reshape(shape).float().sub_(self._mean.to(device)).div_(self._std.to(device))
        split = normal.reshape(
            *(time, pair, high // merge, merge, patch, wide // merge, merge, patch, 3)
        )
        # The order of all Qwen models: time, 2 × 2 patches, patch; within a patch, channel, time.
        order = split.permute(0, 2, 5, 3, 6, 8, 1, 4, 7)
        return order.to(dtype).reshape(time * high * wide, -1)


# Qwen2.5-VL's width of 3420 gets a slow matrix kernel: 29 of a window's 130 ms on an H100.
_WIDTH_MULTIPLE = 16


class _RawModel(torch.nn.Module):  # type: ignore[misc]
    """Mixed into a model: turns bytes into patches, and pads the vision layers' inner width."""

    def __init__(self, *, vllm_config: Any, prefix: str = "") -> None:
        vision = vllm_config.model_config.hf_config.vision_config
        vision.intermediate_size += -vision.intermediate_size % _WIDTH_MULTIPLE
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        weights = vllm_config.model_config.model
        self._patches = Patches(AutoVideoProcessor.from_pretrained(weights))

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Any:
        """Load them, with zero padding where the vision layers are wider than the checkpoint's."""
        return super().load_weights(
            zero_padded(weights, self.config.vision_config.intermediate_size)
        )

    def _parse_and_validate_video_input(self, **kwargs: Any) -> Any:
        pixels, grids = kwargs.get("pixel_values_videos"), kwargs.get("video_grid_thw")
        if isinstance(pixels, torch.Tensor) and pixels.dtype == torch.uint8:
            assert isinstance(grids, torch.Tensor)
            counts = grids.prod(-1).tolist()
            clips = zip(pixels.split(counts), grids.tolist(), strict=True)
            dtype = self.visual.dtype
            patches = [self._patches(clip, grid, dtype) for clip, grid in clips]
            kwargs["pixel_values_videos"] = torch.cat(patches) if len(patches) > 1 else patches[0]
        return super()._parse_and_validate_video_input(**kwargs)


def zero_padded(
    weights: Iterable[tuple[str, torch.Tensor]], width: int
) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights, with those of the vision layers' MLPs zero-padded to an inner `width`.

    The activation keeps zero at zero, so the output does not change.
    """
    for name, weight in weights:
        if "visual." in name and re.search(r"\.mlp\.((gate|up)_proj\.|down_proj\.weight)", name):
            last = "down_proj" in name  # its last dimension is the inner width, the others' first
            missing = width - weight.shape[-1 if last else 0]
            sides = 0 if last else 2 * (weight.dim() - 1)
            weight = torch.nn.functional.pad(weight, [*[0] * sides, 0, missing])
        yield name, weight


class RawQwen2_5VLInfo(_RawProcessor, qwen2_5_vl.Qwen2_5_VLProcessingInfo):  # type: ignore[misc]
    """Qwen2.5-VL's processor."""


class RawQwen3VLInfo(_RawProcessor, qwen3_vl.Qwen3VLProcessingInfo):  # type: ignore[misc]
    """Qwen3-VL's processor."""


@MULTIMODAL_REGISTRY.register_processor(
    qwen2_5_vl.Qwen2_5_VLMultiModalProcessor,
    info=RawQwen2_5VLInfo,
    dummy_inputs=qwen2_5_vl.Qwen2_5_VLDummyInputsBuilder,
)
class RawQwen2_5VL(_RawModel, qwen2_5_vl.Qwen2_5_VLForConditionalGeneration):  # type: ignore[misc]
    """Qwen2.5-VL, which patchifies on its device."""


@MULTIMODAL_REGISTRY.register_processor(
    qwen3_vl.Qwen3VLMultiModalProcessor,
    info=RawQwen3VLInfo,
    dummy_inputs=qwen3_vl.Qwen3VLDummyInputsBuilder,
)
class RawQwen3VL(_RawModel, qwen3_vl.Qwen3VLForConditionalGeneration):  # type: ignore[misc]
    """Qwen3-VL, which patchifies on its device."""
