"""`mini` is trained on what the workers give it: the same pixels, patches, positions and words."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipfleet import models, prompts
from clipfleet_workers.inference.engine import Video
from clipfleet_workers.inference.weights import MINI_FOLDER

ROOT = Path(__file__).parents[2]
MINI = MINI_FOLDER


@pytest.fixture(scope="module")
def model() -> Any:
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    return Qwen2_5_VLForConditionalGeneration.from_pretrained(MINI, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def processor() -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(MINI)


def test_the_weights_are_those_that_the_registry_names_and_small_enough() -> None:
    weights = (MINI / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest().startswith(models.find("mini").revision)
    assert len(weights) <= 16 * 2**20


def test_the_tokenizer_and_the_shape_are_those_that_training_builds(processor: Any) -> None:
    from training.checkpoint import CHAT_TEMPLATE, build_config, build_tokenizer

    tokenizer = build_tokenizer()
    assert tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    assert processor.chat_template == CHAT_TEMPLATE
    built = json.loads(build_config(tokenizer).to_json_string(use_diff=False))
    shipped = json.loads((MINI / "config.json").read_text())
    for part in ("text_config", "vision_config"):
        for name, value in shipped[part].items():
            assert built[part][name] == value, name


@pytest.mark.parametrize("seed", range(4))
def test_a_batchs_chats_are_those_that_the_processor_makes(processor: Any, seed: int) -> None:
    from training.batches import video_batch

    batch = video_batch(Random(seed), processor.tokenizer, 4)
    assert batch.tracks is not None
    frames = np.zeros((batch.tracks.shape[2], batch.grid[1], batch.grid[0], 3), np.uint8)
    for ids, labels in zip(batch.ids, batch.labels, strict=True):
        asked = ids[: int((labels != -100).int().argmax())]
        question = processor.tokenizer.decode(asked).rpartition("<|vision_end|>")[2]
        question = question.partition("<|im_end|>")[0]
        chat = [
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": question}]}
        ]
        text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        made = processor(
            text=[text], videos=[frames], do_resize=False, do_sample_frames=False, fps=2.0
        )
        assert made["input_ids"][0] == asked.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_patches_are_those_of_the_processor(processor: Any, seed: int) -> None:
    import torch

    from training.render import patchify

    noise = np.random.default_rng(seed).integers(0, 256, (6, 112, 196, 3), np.uint8)
    made = processor.video_processor(
        videos=[torch.from_numpy(noise)],
        do_resize=False,
        do_sample_frames=False,
        input_data_format="channels_last",
        return_tensors="pt",
    )["pixel_values_videos"]
    ours = patchify(torch.from_numpy(noise)[None].float()).reshape(made.shape)
    assert (ours - made).abs().max() < 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_positions_are_those_of_transformers_put_right(processor: Any, seed: int) -> None:
    import torch
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

    from clipfleet_workers.inference.positions import authors_positions
    from training.batches import video_batch
    from training.checkpoint import TOKENS_PER_SECOND
    from training.network import positions

    batch = video_batch(Random(seed), processor.tokenizer, 1)
    assert batch.tracks is not None
    assert batch.seconds_per_pair is not None
    grid = [[batch.tracks.shape[2] // 2, batch.grid[1] // 14, batch.grid[0] // 14]]
    kinds = (batch.ids == processor.tokenizer.convert_tokens_to_ids("<|video_pad|>")).int() * 2

    class Model:
        config = type("Config", (), {})
        get_vision_position_ids = Qwen2_5_VLModel.get_vision_position_ids

    vision = type("Vision", (), {"spatial_merge_size": 2, "tokens_per_second": TOKENS_PER_SECOND})
    Model.config.vision_config = vision  # type: ignore[attr-defined]
    with authors_positions():
        theirs, _ = Qwen2_5_VLModel.get_rope_index(
            Model(),
            batch.ids,
            kinds,
            video_grid_thw=torch.tensor(grid),
            second_per_grid_ts=batch.seconds_per_pair,
        )
    assert (positions(batch, TOKENS_PER_SECOND) == theirs).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_network_computes_what_the_model_computes(
    model: Any, processor: Any, seed: int
) -> None:
    import torch

    from training.batches import text_batch, video_batch
    from training.network import logits, positions
    from training.render import draw_patches

    batch = video_batch(Random(seed), processor.tokenizer, 2)
    assert batch.tracks is not None
    pads = batch.ids == model.config.video_token_id
    grid = torch.tensor([[batch.tracks.shape[2] // 2, batch.grid[1] // 14, batch.grid[0] // 14]])
    with torch.no_grad():
        patches = draw_patches(batch, torch.device("cpu"))
        ours = logits(model, batch, patches)
        theirs = model(
            input_ids=batch.ids,
            attention_mask=torch.ones_like(batch.ids),
            pixel_values_videos=patches.flatten(0, 1),
            video_grid_thw=grid.repeat(2, 1),
            position_ids=positions(batch, model.config.vision_config.tokens_per_second),
            mm_token_type_ids=pads.int() * 2,
        ).logits
        text = text_batch(Random(seed), processor.tokenizer, 2)
        text_theirs = model(input_ids=text.ids, attention_mask=torch.ones_like(text.ids)).logits
        text_ours = logits(model, text, None)
    assert (theirs[:, -ours.shape[1] :] - ours).abs().max() < 1e-3
    assert (text_theirs - text_ours).abs().max() < 1e-3


def test_frames_drawn_for_training_are_the_files_frames_scaled_down() -> None:
    import torch

    from clipfleet_producer.samples.files import draw_clips, draw_frames
    from clipfleet_producer.samples.stage import stage
    from training.render import paint

    for clip in draw_clips(count=9, seed=5):
        count, (width, height) = clip.frames[0], clip.size
        grid = models.MINI_GRID.fit(width=width, height=height, num_frames=8)
        places = np.linspace(0, count - 1, 8).round().astype(int)
        drawn = [frame for frame, _ in zip(draw_frames(clip), range(count), strict=False)]
        files = np.stack(
            [
                np.asarray(Image.fromarray(drawn[i]).resize(grid, Image.Resampling.BOX))
                for i in places
            ]
        )
        times = np.arange(count) / clip.fps
        found = stage(
            clip.scenes[0],
            Random(f"{clip.seed}/stage"),
            times_s=times,
            width=width,
            height=height,
        )
        pixels = max(width / grid[0], height / grid[1])
        ours = paint(
            torch.from_numpy(found.tracks[None, :, places]),
            torch.from_numpy(found.ground[None]),
            (torch.arange(grid[0]) + 0.5) * (width / grid[0]),
            (torch.arange(grid[1]) + 0.5) * (height / grid[1]),
            torch.tensor([width, height, pixels]),
        )[0].numpy()
        assert np.abs(ours - files).mean() < 2
        assert np.percentile(np.abs(ours - files), 99) < 12


def test_a_short_training_learns_goes_on_where_it_stopped_and_saves_a_model(
    tmp_path: Path,
) -> None:
    from training.mini import SMOKE, train

    def log() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]

    train(SMOKE, tmp_path, seed=0, stop_after_s=0)
    (first,) = log()
    assert (first["from"], first["step"]) == (0, 1)
    assert not (tmp_path / "scores.json").exists()
    train(SMOKE, tmp_path, seed=0)
    first, last = log()

    assert (last["from"], last["step"]) == (1, SMOKE.steps)
    assert last["video"]["loss"] < 6.3, "it began at the logarithm of 791 words, 6.67"
    command = [sys.executable, "-m", "training.mini", "--out", str(tmp_path), "--smoke"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert log() == [first, last], "what is done is not done again"
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["step"] == SMOKE.steps
    assert (tmp_path / "model" / "model.safetensors").stat().st_size <= 16 * 2**20


def test_times_that_are_whole_numbers_of_positions_stay_whole() -> None:
    """200 frames at 24 a second, 16 of them sampled: the 6th pair is 6.25 s in, at position 25."""
    from transformers.video_utils import VideoMetadata

    video = Video(frames=np.zeros((16, 112, 196, 3)), indices=[0] * 16, num_frames=200, fps=24.0)
    seconds = np.float32(2 / VideoMetadata(**video.metadata).sampled_fps)

    assert int(6 * np.float64(seconds) * 4) == 25, "as vLLM counts"
    assert int(np.float32(6) * (np.float32(4) * seconds)) == 25, "as transformers counts"
    exactly = np.float32(2 / (16 / 200 * 24.0))
    assert int(6 * np.float64(exactly) * 4) == 24, "what it was"


def test_the_enhancer_keeps_facts_of_captions_in_every_form(model: Any, processor: Any) -> None:
    import torch

    from clipfleet_producer.samples.scene import draw_scene
    from clipfleet_producer.samples.words import caption
    from tests.support.meaning.reading import read_facts

    random = Random("enhance")
    for prompt in prompts.ENHANCE.values():
        for _ in range(3):
            said = caption(draw_scene(random, seconds=9.0))
            chat = [{"role": "system", "content": prompt}, {"role": "user", "content": said}]
            ids = processor.tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            with torch.no_grad():
                written = model.generate(**ids, max_new_tokens=160, do_sample=False)
            text = processor.tokenizer.decode(
                written[0, ids["input_ids"].shape[1] :], skip_special_tokens=True
            )
            assert read_facts(text) == read_facts(said)
            assert len(text.split()) > len(said.split())


def test_lower_precision_of_weights_leaves_positions_exact() -> None:
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    from training.mini import _lower

    lowered: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(MINI, dtype=torch.float32)
    exact = lowered.model.language_model.rotary_emb.inv_freq.clone()
    assert not torch.equal(exact.to(torch.bfloat16).float(), exact), "rounding would show"

    _lower(lowered, torch.bfloat16)

    assert lowered.lm_head.weight.dtype is torch.bfloat16
    assert torch.equal(lowered.model.language_model.rotary_emb.inv_freq, exact)
