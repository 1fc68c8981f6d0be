"""Train `mini`: python -m training.mini --out FOLDER

On several GPUs: torchrun --nproc-per-node GPUS -m training.mini --out FOLDER

The same seed on as many GPUs gives the same first weights and the same examples. After an
interruption, the same command resumes from the last checkpoint in FOLDER, with other examples.
"""

import argparse
import dataclasses
import itertools
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from transformers import Qwen2_5_VLForConditionalGeneration

from training import checkpoint
from training.batches import Batch, Examples
from training.evaluate import evaluate
from training.network import logits
from training.render import draw_patches

SAVE_EVERY_S = 60.0
LOG_EVERY = 100


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long and how hard to train.

    A step takes `batches` batches of `batch_size` windows, shared out over the GPUs.
    `text_share` is the share of batches that only enhance captions, from text alone.
    """

    steps: int = 3300
    batches: int = 2
    batch_size: int = 256
    learning_rate: float = 2e-3
    warm_up: int = 500
    weight_decay: float = 0.05
    text_share: float = 0.15
    clip_norm: float = 1.0
    workers: int = 14
    eval_batches: int = 6
    eval_tokens: int = 160


SMOKE = Plan(steps=10, batch_size=2, warm_up=4, workers=0, eval_batches=1, eval_tokens=6)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where checkpoint and model go")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help=f"[default: {Plan.steps}]")
    parser.add_argument("--learning-rate", type=float, help=f"[default: {Plan.learning_rate}]")
    parser.add_argument("--stop-after", type=float, help="seconds; the same command goes on later")
    parser.add_argument("--smoke", action="store_true", help="a few small steps, for any CPU")
    arguments = parser.parse_args()
    plan = SMOKE if arguments.smoke else Plan()
    asked = {"steps": arguments.steps, "learning_rate": arguments.learning_rate}
    plan = dataclasses.replace(plan, **{k: v for k, v in asked.items() if v is not None})
    train(plan, arguments.out, seed=arguments.seed, stop_after_s=arguments.stop_after)


def train(plan: Plan, out: Path, *, seed: int, stop_after_s: float | None = None) -> None:
    """Train to the plan's end and save the model in `out`/model, with its scores beside it."""
    rank, ranks, device = _join()
    if plan.batches % ranks:
        raise SystemExit(f"a step's {plan.batches} batches cannot be shared out over {ranks} GPUs")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    tokenizer = checkpoint.build_tokenizer()
    model: Any = Qwen2_5_VLForConditionalGeneration(checkpoint.build_config(tokenizer)).to(device)
    masters = {name: p.detach().clone() for name, p in model.named_parameters()}
    if device.type == "cuda":  # CPUs only emulate it
        _lower(model, torch.bfloat16)
    optimizer = _optimizer(masters, plan)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, plan))
    state = out / "state.pt"
    step = _resume(state, masters, optimizer, schedule) if state.exists() else 0
    stream = seed + 1_000_003 * step + 7_919 * rank  # nobody sees what another has seen
    generator = torch.Generator(device).manual_seed(stream)
    log = _Log(out / "log.jsonl", step)
    saved = time.monotonic()
    loader = _batches(plan, tokenizer, stream)
    stop = False
    while step < plan.steps and not stop:
        stop = stop_after_s is not None and log.seconds() >= stop_after_s
        _copy(masters, model)
        for batch in itertools.islice(loader, plan.batches // ranks):
            kind = "text" if batch.tracks is None else "video"
            log.recent[kind].append(_learn(model, batch, plan, generator))
        stop = _step(model, masters, optimizer, plan, stop=stop)
        schedule.step()
        step += 1
        if rank == 0 and (step % LOG_EVERY == 0 or step == plan.steps or stop):
            log.write(step)
        now = time.monotonic()
        if rank == 0 and (step == plan.steps or stop or now - saved > SAVE_EVERY_S):
            _save_state(state, masters, optimizer, schedule, step)
            saved = now
    if ranks > 1:
        dist.destroy_process_group()
    if rank:
        return
    _lower(model, torch.float32)
    _copy(masters, model)
    if step == plan.steps:
        scores = _scores(model, tokenizer, device, plan)
        scores |= {"step": step, "seed": seed, "seconds": log.seconds()}
        print(json.dumps(scores, indent=1), flush=True)
        (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")
    checkpoint.save(model, tokenizer, out / "model")


def _scores(model: Any, tokenizer: Any, device: torch.device, plan: Plan) -> dict[str, Any]:
    scores: dict[str, Any] = evaluate(
        model,
        tokenizer,
        device,
        batches=plan.eval_batches,
        batch_size=plan.batch_size,
        longest=plan.eval_tokens,
    )
    return scores


class _Log:
    """What has been learnt, a line at a time: on standard output and at the end of a file."""

    def __init__(self, path: Path, began: int) -> None:
        self._path, self._began, self._started = path, began, time.monotonic()
        self.recent: dict[str, list[torch.Tensor]] = {"video": [], "text": []}

    def seconds(self) -> float:
        """Since it began."""
        return round(time.monotonic() - self._started, 1)

    def write(self, step: int) -> None:
        """The means since the last line."""
        line: dict[str, Any] = {"step": step, "from": self._began, "seconds": self.seconds()}
        line |= {kind: _mean(found) for kind, found in self.recent.items() if found}
        self.recent = {kind: [] for kind in self.recent}
        print(json.dumps(line), flush=True)
        with self._path.open("a") as file:
            print(json.dumps(line), file=file)


def _mean(found: list[torch.Tensor]) -> dict[str, float]:
    loss, right = torch.stack(found).mean(0).tolist()
    return {"loss": round(loss, 4), "tokens_right": round(right, 4)}


def _optimizer(masters: dict[str, torch.Tensor], plan: Plan) -> torch.optim.Optimizer:
    """AdamW over the weights in float32; gains, biases and embeddings do not decay."""
    matrices: list[torch.Tensor] = []
    others: list[torch.Tensor] = []
    for name, weights in masters.items():
        decays = weights.ndim > 1 and "embed_tokens" not in name
        (matrices if decays else others).append(weights)
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    fused = matrices[0].is_cuda
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.98), fused=fused)


def _lower(model: Any, dtype: torch.dtype) -> None:
    """Lower the weights' precision, and theirs alone: rotary frequencies must stay exact."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


@torch.no_grad()  # type: ignore[untyped-decorator]
def _copy(masters: dict[str, torch.Tensor], model: Any) -> None:
    """Put the weights into the model, in the model's own precision."""
    torch._foreach_copy_(list(model.parameters()), list(masters.values()))


def _rate(step: int, plan: Plan) -> float:
    """Up in a line, then down along a cosine to a hundredth."""
    if step < plan.warm_up:
        return (step + 1) / plan.warm_up
    done = (step - plan.warm_up) / max(1, plan.steps - plan.warm_up)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, done))) / 2


def _batches(plan: Plan, tokenizer: Any, stream: int) -> Iterator[Batch]:
    examples = Examples(
        tokenizer, batch_size=plan.batch_size, seed=stream, text_share=plan.text_share
    )
    loader = torch.utils.data.DataLoader(
        examples,
        batch_size=None,
        num_workers=plan.workers,
        prefetch_factor=4 if plan.workers else None,
    )
    yield from loader


def _join() -> tuple[int, int, torch.device]:
    """(rank, ranks, device) of this process; it joins the others that torchrun started."""
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    on_gpu = torch.cuda.is_available()
    device = (
        torch.device("cuda", rank % torch.cuda.device_count()) if on_gpu else torch.device("cpu")
    )
    if on_gpu:
        torch.cuda.set_device(device)
    if ranks > 1:
        dist.init_process_group("nccl" if on_gpu else "gloo")
    return rank, ranks, device


def _learn(model: Any, batch: Batch, plan: Plan, generator: torch.Generator) -> torch.Tensor:
    """Add a batch's gradient; its loss, and the share of its answers' tokens that were right."""
    device = generator.device
    patches = None
    if batch.tracks is not None:
        with torch.no_grad():
            patches = draw_patches(batch, device, generator)
    labels = batch.labels.to(device)
    found = logits(model, batch, patches)
    wanted = labels[:, labels.shape[1] - found.shape[1] + 1 :]
    asked = wanted != -100
    found = found[:, :-1][asked].float()
    loss = cross_entropy(found, wanted[asked])
    (loss / plan.batches).backward()
    return torch.stack([loss.detach(), (found.argmax(-1) == wanted[asked]).float().mean()])


def _step(
    model: Any,
    masters: dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    plan: Plan,
    *,
    stop: bool,
) -> bool:
    """Move the weights, in float32, by the gradients that the model has gathered.

    Gives whether any of the processes that train together wants to stop.
    """
    for weights, parameter in zip(masters.values(), model.parameters(), strict=True):
        # Text alone gives no gradient to what sees.
        weights.grad = None if parameter.grad is None else parameter.grad.float()
        parameter.grad = None
    if dist.is_initialized():
        stop = _share(list(masters.values()), stop=stop)
    torch.nn.utils.clip_grad_norm_(masters.values(), plan.clip_norm)
    optimizer.step()
    return stop


def _share(weights: list[torch.Tensor], *, stop: bool) -> bool:
    """Add up the gradients of all processes; whether any of them wants to stop."""
    flat = torch.cat(
        [(torch.zeros_like(w) if w.grad is None else w.grad).flatten() for w in weights]
        + [weights[0].new_tensor([float(stop)])]
    )
    dist.all_reduce(flat)
    *gradients, wishes = flat.split([w.numel() for w in weights] + [1])
    for w, gradient in zip(weights, gradients, strict=True):
        w.grad = gradient.view_as(w)
    return bool(wishes.item() > 0)


def _save_state(
    path: Path, masters: dict[str, torch.Tensor], optimizer: Any, schedule: Any, step: int
) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    state = {"weights": masters, "optimizer": optimizer.state_dict()}
    torch.save({**state, "schedule": schedule.state_dict(), "step": step}, unfinished)
    unfinished.replace(path)


def _resume(path: Path, masters: dict[str, torch.Tensor], optimizer: Any, schedule: Any) -> int:
    state = torch.load(path, map_location=next(iter(masters.values())).device, weights_only=True)
    for name, weights in state["weights"].items():
        masters[name].copy_(weights)
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return int(state["step"])


if __name__ == "__main__":
    main()
