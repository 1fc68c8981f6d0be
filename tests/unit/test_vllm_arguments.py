"""What vLLM is started with on a GPU, which no other test here has."""

from pathlib import Path
from typing import Any

from clipfleet import models
from clipfleet_workers.inference.engine import EngineConfig
from clipfleet_workers.inference.vllm_engine.engine import GPU_ARGUMENTS, vllm_arguments


def arguments(name: str = "qwen", **fields: Any) -> dict[str, Any]:
    config = EngineConfig(model=models.find(name), cache_dir=Path("/cache"), **fields)
    return vllm_arguments(config, Path("/weights"), on_gpu=True)


def test_the_configuration_becomes_vllms_arguments() -> None:
    found = arguments(batch_size=128, fp8=True, gpus=2, gpu_memory_utilization=0.8)

    assert found.items() >= GPU_ARGUMENTS.items()
    assert found["model"] == "/weights"
    assert found["quantization"] == "fp8"
    assert (found["max_num_seqs"], found["tensor_parallel_size"]) == (128, 2)
    assert found["gpu_memory_utilization"] == 0.8
    assert not found["enforce_eager"]


def test_arguments_that_are_given_override_ours() -> None:
    found = arguments(arguments={"max_num_batched_tokens": 8192, "seed": 1})

    assert (found["max_num_batched_tokens"], found["seed"]) == (8192, 1)


def test_the_cache_of_frames_has_room_for_the_windows_in_flight_and_can_be_turned_off() -> None:
    one = arguments(windows=1)["mm_processor_cache_gb"]

    assert arguments(windows=10)["mm_processor_cache_gb"] == 10 * one
    assert arguments(batch_size=10)["mm_processor_cache_gb"] == 10 * one
    assert arguments(windows=10, disable_mmcache=True)["mm_processor_cache_gb"] == 0
    assert "mm_processor_cache_gb" not in arguments("qwen_lm")


def test_a_familys_traits_are_passed_on() -> None:
    assert arguments("nemotron")["trust_remote_code"]
    assert arguments("nemotron")["enable_prefix_caching"] is False
    assert not arguments("qwen")["trust_remote_code"]
