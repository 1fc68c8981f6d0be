"""The reference system's captioning loop: `LLM.generate` on one batch after another.

`shipped`: frames at source size and its processor arguments. `resized`: frames at the model's grid,
as our prepare workers hand them over, and nothing else changed.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.load import FRAMES, PROMPT, SOURCE_SIZE, Load, frame_size
from benchmarks.gpu.meter import BusyMeter
from clipfleet.models import find

BATCH = 16
MAX_PIXELS = 16_384 * 28 * 28
ASKED = (
    "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>"
    f"{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
)


def main() -> None:
    """Run it: MODEL_FOLDER shipped|resized COUNT GPU. Prints one line of JSON."""
    model, way, count, gpu = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    from vllm import LLM, SamplingParams

    shipped = way == "shipped"
    own: dict[str, Any] = {
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "max_pixels": MAX_PIXELS,
    }
    llm = LLM(
        model=str(model),
        load_format="dummy",
        limit_mm_per_prompt={"image": 0, "video": 1},
        max_model_len=32_768,
        max_num_batched_tokens=32_768,
        gpu_memory_utilization=0.85,
        mm_processor_cache_gb=0,
        mm_processor_kwargs=own if shipped else None,
    )
    load = Load(count=count)
    size = SOURCE_SIZE if shipped else frame_size(find("qwen"))
    windows = [_request(frames) for frames in load.frames(size=size)]
    lengths = [
        SamplingParams(
            temperature=0.1,
            top_p=0.001,
            repetition_penalty=1.05,
            max_tokens=tokens,
            ignore_eos=True,
            detokenize=False,
        )
        for tokens in load.lengths()
    ]
    first = llm.generate(windows[:4], lengths[:4], use_tqdm=False)
    with BusyMeter([gpu]) as meter:
        started = time.monotonic()
        for i in range(0, count, BATCH):
            llm.generate(windows[i : i + BATCH], lengths[i : i + BATCH], use_tqdm=False)
        seconds = time.monotonic() - started
    tokens = len(first[0].prompt_token_ids)
    found = {"windows_per_s": count / seconds, "busy": meter.busy, "prompt_tokens": tokens}
    print("RESULT", json.dumps(found), flush=True)


def _request(frames: Any) -> dict[str, Any]:
    times = {
        "fps": 2.0,
        "frames_indices": list(range(FRAMES)),
        "total_num_frames": FRAMES,
        "duration": FRAMES / 2,
        "do_sample_frames": False,
    }
    return {"prompt": ASKED, "multi_modal_data": {"video": (frames, times)}}


if __name__ == "__main__":
    main()
