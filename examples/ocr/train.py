"""Train the detector and a recogniser on two CPU cores in a few minutes, or on GPUs with mixed precision:

python train.py [--full] [--recogniser crnn|svtr|both]
python -m paddle.distributed.launch train.py --full
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import paddle
from data import DICTIONARY, draw, line_of, maps, pages, pixels_of
from model import HOME, RECOGNISERS, Detector, classes, weights_of
from paddle import nn
from paddle.io import DataLoader, Dataset, DistributedBatchSampler
from paddle.nn import functional

CHECKPOINT = HOME / "checkpoint"
SIDE = 256
"""Pixels of the detector's training pictures: pages are cut or padded to it."""

IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""As in edgeflow.toml."""


class Pages(Dataset):
    """Pages as the detector takes them, float32[3, 256, 256], and its maps, float32[3, 256, 256]."""

    def __init__(self) -> None:
        self.items = pages("train")
        self.known: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index not in self.known:
            path, _, quads = self.items[index]
            pixels = pixels_of(path)
            height, width = pixels.shape[:2]
            self.known[index] = pixels, maps(quads, height, width).astype(np.float16)
        pixels, wanted = self.known[index]
        picture, target = np.zeros((3, SIDE, SIDE), np.float32), np.zeros((3, SIDE, SIDE), np.float32)
        top, left = (int(np.random.randint(max(side - SIDE, 0) + 1)) for side in pixels.shape[:2])
        part = pixels[top : top + SIDE, left : left + SIDE].astype(np.float32)[:, :, ::-1]
        height, width = part.shape[:2]
        picture[:, :height, :width] = ((part / 255 - IMAGE_MEAN) / IMAGE_STD).transpose(2, 0, 1)
        target[:, :height, :width] = wanted[:, top : top + SIDE, left : left + SIDE]
        return picture, target


class Lines(Dataset):
    """Lines float32[3, 32, 192] and their letters int32[L], padded with 0, and how many they are."""

    def __init__(self) -> None:
        number = {letter: k + 1 for k, letter in enumerate(DICTIONARY.read_text(encoding="utf-8").splitlines())}
        self.items = [
            (path, quad, [number[letter] for letter in said])
            for path, texts, quads in pages("train")
            for said, quad in zip(texts, quads, strict=True)
        ]
        self.longest = max(len(said) for _, _, said in self.items)
        self.known: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        path, quad, said = self.items[index]
        if len(self.known) < 2000 and str(path) not in self.known:
            self.known[str(path)] = pixels_of(path)
        pixels = self.known[str(path)] if str(path) in self.known else pixels_of(path)
        letters = np.zeros(self.longest, np.int32)
        letters[: len(said)] = said
        line = line_of(pixels, quad, np.random.default_rng(np.random.randint(1 << 30)))
        return line[::-1].copy(), letters, np.int64(len(said))


def loss_of_maps(found: tuple[paddle.Tensor, ...], wanted: paddle.Tensor) -> paddle.Tensor:
    """DB's: balanced cross entropy of the text, its overlap after the step, and the threshold's distance."""
    text, threshold, step = (item.squeeze(1).astype("float32") for item in found)
    truth, level, counts = wanted[:, 0], wanted[:, 1], wanted[:, 2]
    each = functional.binary_cross_entropy(text.clip(1e-6, 1 - 1e-6), truth, reduction="none")
    count = int(truth.sum())
    wrong = (each * (1 - truth)).flatten()
    hard = paddle.topk(wrong, max(1, min(3 * count, wrong.shape[0])), sorted=False)[0]
    of_text = ((each * truth).sum() + hard.sum()) / (count + hard.shape[0])
    dice = 1 - 2 * (step * truth).sum() / (step.sum() + truth.sum() + 1e-6)
    of_threshold = ((threshold - level).abs() * counts).sum() / (counts.sum() + 1e-6)
    return 5 * of_text + dice + 10 * of_threshold


def loss_of_lines(scores: paddle.Tensor, letters: paddle.Tensor, lengths: paddle.Tensor) -> paddle.Tensor:
    """CTC's, blank 0."""
    steps = paddle.full([scores.shape[0]], scores.shape[1], "int64")
    logits = scores.astype("float32").transpose([1, 0, 2])
    return functional.ctc_loss(logits, letters, steps, lengths, blank=0, reduction="mean")


def batches(data: Dataset, size: int, workers: int) -> DataLoader:
    sampler = DistributedBatchSampler(data, size, shuffle=True, drop_last=True)
    return DataLoader(data, batch_sampler=sampler, num_workers=workers, persistent_workers=workers > 0)


@dataclass(frozen=True)
class Plan:
    """How a network is trained: its name, epochs, learning rate, loss; `resume` begins where the last run stopped."""

    name: str
    epochs: int
    rate: float
    loss: Callable[..., paddle.Tensor]
    resume: bool


def epochs(model: nn.Layer, optimizer: paddle.optimizer.Optimizer, plan: Plan) -> Iterator[int]:
    """The epochs that are left, each followed by a checkpoint of the first process."""
    place = CHECKPOINT / plan.name
    done = 0
    if plan.resume and place.with_suffix(".json").is_file():
        done = json.loads(place.with_suffix(".json").read_text())["epochs"]
        model.set_state_dict(paddle.load(f"{place}.pdparams"))
        optimizer.set_state_dict(paddle.load(f"{place}.pdopt"))
    for epoch in range(done, plan.epochs):
        yield epoch
        if paddle.distributed.get_rank() == 0:
            CHECKPOINT.mkdir(exist_ok=True)
            paddle.save(model.state_dict(), f"{place}.pdparams")
            paddle.save(optimizer.state_dict(), f"{place}.pdopt")
            place.with_suffix(".json").write_text(json.dumps({"epochs": epoch + 1}))


def train(model: nn.Layer, loader: DataLoader, plan: Plan) -> None:
    """One network: warm-up and cosine, clipped gradients, mixed precision on a GPU, every process its share."""
    gpu = paddle.device.get_device().startswith("gpu")
    steps, rate = max(1, plan.epochs * len(loader)), plan.rate
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(rate, steps)
    schedule = paddle.optimizer.lr.LinearWarmup(schedule, max(1, steps // 20), rate / 20, rate)
    clip = nn.ClipGradByGlobalNorm(5.0)
    optimizer = paddle.optimizer.AdamW(schedule, parameters=model.parameters(), weight_decay=1e-3, grad_clip=clip)
    scaler = paddle.amp.GradScaler(enable=gpu)
    whole = paddle.DataParallel(model) if paddle.distributed.get_world_size() > 1 else model
    model.train()
    for epoch in epochs(model, optimizer, plan):
        loader.batch_sampler.set_epoch(epoch)
        sums = []
        for x, *wanted in loader:
            with paddle.amp.auto_cast(enable=gpu):
                found = whole(x)
            total = plan.loss(found, *wanted)
            scaler.scale(total).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.clear_grad()
            schedule.step()
            sums.append(float(total))
        print(f"{plan.name}: epoch {epoch + 1} of {plan.epochs}, loss {np.mean(sums):.3f}", flush=True)
    if paddle.distributed.get_rank() == 0:
        paddle.save(model.state_dict(), str(weights_of(plan.name)))
        print(f"weights: {weights_of(plan.name)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="3,817 letters, wider networks: hours on a GPU")
    parser.add_argument("--recogniser", choices=("crnn", "svtr", "both"), default="both")
    parser.add_argument("--pages", type=int, default=5, help="epochs of the detector")
    parser.add_argument("--lines", type=int, default=14, help="epochs of a recogniser")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches")
    parser.add_argument("--resume", action="store_true", help="go on where the last run stopped")
    chosen = parser.parse_args()
    if paddle.distributed.get_world_size() > 1:
        paddle.distributed.init_parallel_env()
    paddle.seed(0)
    np.random.seed(paddle.distributed.get_rank())
    if paddle.distributed.get_rank() == 0:
        draw(full=chosen.full)
    if paddle.distributed.get_world_size() > 1:
        paddle.distributed.barrier()
    if chosen.pages:
        plan = Plan("detector", chosen.pages, 4e-3, loss_of_maps, chosen.resume)
        train(Detector(), batches(Pages(), 8, chosen.workers), plan)
    for name in ("crnn", "svtr") if chosen.recogniser == "both" else (chosen.recogniser,):
        if chosen.lines:
            plan = Plan(name, chosen.lines, 2e-3, loss_of_lines, chosen.resume)
            train(RECOGNISERS[name](classes(), 256 if chosen.full else 96), batches(Lines(), 32, chosen.workers), plan)


if __name__ == "__main__":
    main()
