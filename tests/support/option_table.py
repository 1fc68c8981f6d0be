"""Every option as DESIGN has it: its default, its flag, another value, and what that changes.

DESIGN lists the caption model and its prompt under Prepare, as the reference system does; they
shape the caption, so here they stand in its group.
"""

from typing import NamedTuple


class Option(NamedTuple):
    """An option: `shapes` says whether records made with `other` differ."""

    default: object
    flag: str
    other: object
    shapes: bool


# By (group, name).
OPTIONS: dict[tuple[str, str], Option] = {
    ("prepare", "sampling_fps"): Option(2.0, "--captioning-sampling-fps", 1.0, shapes=True),
    ("prepare", "window_size"): Option(256, "--captioning-window-size", 128, shapes=True),
    ("prepare", "remainder_threshold"): Option(
        128, "--captioning-remainder-threshold", 64, shapes=True
    ),
    ("prepare", "model_does_preprocess"): Option(
        False, "--captioning-model-does-preprocess", True, shapes=True
    ),
    ("prepare", "preprocess_dtype"): Option(
        "uint8", "--captioning-preprocess-dtype", "float32", shapes=True
    ),
    ("prepare", "frame_encoding"): Option(
        "auto", "--captioning-frame-encoding", "jpeg444", shapes=True
    ),
    ("prepare", "generate_previews"): Option(True, "--generate-previews", False, shapes=True),
    ("prepare", "generate_captions"): Option(True, "--generate-captions", False, shapes=True),
    ("prepare", "upload_clips"): Option(False, "--upload-clips", True, shapes=True),
    ("prepare", "verbose"): Option(False, "--verbose", True, shapes=False),
    ("preview", "target_fps"): Option(1.0, "--preview-target-fps", 2.0, shapes=True),
    ("preview", "target_height"): Option(240, "--preview-target-height", 120, shapes=True),
    ("preview", "compression_level"): Option(6, "--preview-compression-level", 0, shapes=True),
    ("preview", "quality"): Option(50, "--preview-quality", 90, shapes=True),
    ("preview", "num_cpus_per_worker"): Option(
        4.0, "--preview-num-cpus-per-worker", 1.0, shapes=False
    ),
    ("caption", "model_variant"): Option("qwen", "--captioning-algorithm", "mini", shapes=True),
    ("caption", "model_dir"): Option(None, "--captioning-model-dir", "models/qwen", shapes=False),
    ("caption", "prompt_variant"): Option(
        "default", "--captioning-prompt-variant", "av", shapes=True
    ),
    ("caption", "prompt_text"): Option(
        None, "--captioning-prompt-text", "What is this?", shapes=True
    ),
    ("caption", "caption_batch_size"): Option(16, "--captioning-batch-size", 4, shapes=False),
    ("caption", "fp8"): Option(False, "--captioning-fp8", True, shapes=True),
    ("caption", "max_output_tokens"): Option(
        512, "--captioning-max-output-tokens", 64, shapes=True
    ),
    ("caption", "disable_mmcache"): Option(
        False, "--captioning-disable-mmcache", True, shapes=False
    ),
    ("caption", "generate_stage2_caption"): Option(False, "--captioning-stage2", True, shapes=True),
    ("caption", "stage2_prompt_text"): Option(
        None, "--captioning-stage2-prompt-text", "Again: {caption}", shapes=True
    ),
    ("enhance", "enabled"): Option(False, "--enhance-captions", True, shapes=True),
    ("enhance", "model_variant"): Option(
        "qwen_lm", "--enhance-captions-algorithm", "mini", shapes=True
    ),
    ("enhance", "model_dir"): Option(
        None, "--enhance-captions-model-dir", "models/qwen_lm", shapes=False
    ),
    ("enhance", "prompt_variant"): Option(
        "default", "--enhance-captions-prompt-variant", "av-surveillance", shapes=True
    ),
    ("enhance", "prompt_text"): Option(
        None, "--enhance-captions-prompt-text", "Be brief.", shapes=True
    ),
    ("enhance", "model_batch_size"): Option(128, "--enhance-captions-batch-size", 4, shapes=False),
    ("enhance", "fp8"): Option(False, "--enhance-captions-fp8", True, shapes=True),
    ("enhance", "max_output_tokens"): Option(
        512, "--enhance-captions-max-output-tokens", 64, shapes=True
    ),
}
