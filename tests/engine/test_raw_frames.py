"""Frames as bytes: what our processor passes on, and the patches that our model makes of them."""

from typing import Any

import numpy as np
import pytest

from clipfleet_workers.inference.weights import MINI_FOLDER


@pytest.fixture(scope="module")
def own() -> Any:
    """The model's own video processor."""
    from transformers import AutoVideoProcessor

    return AutoVideoProcessor.from_pretrained(MINI_FOLDER)


@pytest.fixture(scope="module")
def raw() -> Any:
    """The same, passing bytes on."""
    from transformers import AutoVideoProcessor

    from clipfleet_workers.inference.vllm_engine.raw_frames import leave_bytes_alone

    processor = AutoVideoProcessor.from_pretrained(MINI_FOLDER)
    leave_bytes_alone(processor)
    return processor


def noise(frames: int, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(frames).integers(0, 256, (frames, 56, 84, 3)).astype(dtype)


def processed(processor: Any, clip: Any, **more: Any) -> Any:
    ways = {"do_resize": False, "do_sample_frames": False, "return_tensors": "pt", **more}
    return processor(videos=[clip], **ways)


@pytest.mark.parametrize("frames", [4, 7])
def test_bytes_are_passed_on_unchanged_with_the_same_grid(own: Any, raw: Any, frames: int) -> None:
    clip = noise(frames)
    ours, theirs = processed(raw, clip), processed(own, clip)
    last_twice = np.concatenate([clip, clip[-1:]]) if frames % 2 else clip

    assert ours["video_grid_thw"].tolist() == theirs["video_grid_thw"].tolist()
    assert ours["pixel_values_videos"].shape == theirs["pixel_values_videos"].shape
    assert ours["pixel_values_videos"].numpy().tobytes() == last_twice.tobytes()


@pytest.mark.parametrize("frames", [4, 7])
def test_the_patches_made_of_them_are_the_processors_own(own: Any, raw: Any, frames: int) -> None:
    import torch

    from clipfleet_workers.inference.vllm_engine.raw_frames import Patches

    ours, theirs = processed(raw, noise(frames)), processed(own, noise(frames))
    grid = ours["video_grid_thw"][0].tolist()
    made = Patches(own)(ours["pixel_values_videos"], grid, torch.float32)

    assert torch.equal(made, theirs["pixel_values_videos"])


@pytest.mark.parametrize(
    ("clip", "more"), [(noise(4, np.float32), {}), (noise(4), {"do_resize": True})]
)
def test_other_dtypes_and_frames_to_resize_go_through_the_models_own_processor(
    own: Any, raw: Any, clip: Any, more: Any
) -> None:
    import torch

    ours, theirs = processed(raw, clip, **more), processed(own, clip, **more)

    assert torch.equal(ours["pixel_values_videos"], theirs["pixel_values_videos"])


def test_zero_padded_layers_compute_the_same() -> None:
    import torch

    from clipfleet_workers.inference.vllm_engine.raw_frames import zero_padded

    torch.manual_seed(0)
    shapes = {
        "gate_proj.weight": (13, 8),
        "gate_proj.bias": (13,),
        "up_proj.weight": (13, 8),
        "up_proj.bias": (13,),
        "down_proj.weight": (8, 13),
        "down_proj.bias": (8,),
    }
    before = {f"visual.blocks.0.mlp.{name}": torch.randn(shape) for name, shape in shapes.items()}
    after = dict(zero_padded(before.items(), 16))
    x = torch.randn(5, 8)

    def layer(weights: dict[str, Any]) -> Any:
        gate, gate_bias, up, up_bias, down, down_bias = weights.values()
        inner = torch.nn.functional.silu(x @ gate.T + gate_bias) * (x @ up.T + up_bias)
        return inner @ down.T + down_bias

    assert [tuple(each.shape) for each in after.values()] == [
        *((16, 8), (16,), (16, 8), (16,), (8, 16), (8,))
    ]
    assert torch.allclose(layer(after), layer(before), atol=1e-5)


def test_other_layers_are_left_as_they_are() -> None:
    import torch

    from clipfleet_workers.inference.vllm_engine.raw_frames import zero_padded

    others = {"model.layers.0.mlp.up_proj.weight": torch.ones(3, 2)}
    others["visual.blocks.0.attn.qkv.weight"] = torch.ones(3, 2)

    assert all(after is others[name] for name, after in zero_padded(others.items(), 16))
