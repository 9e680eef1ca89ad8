"""Train the classifier on two CPU cores in a few minutes, or on a GPU with mixed precision.

First the encoder learns the language by filling in masked tokens, then the intents. `--teacher 128x6` first trains a
larger network, whose answers the small one learns too. `--without INTENT`, then `--add INTENT`, shows how a new intent
is learned from the saved model, with a few utterances of the old ones so that they are not forgotten.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator

import numpy as np
import paddle
from data import LABELS, SEED_TRAINING, Pair, test, training, utterances
from model import HERE, PAD, WEIGHTS, Encoder, Intents, loaded
from paddle import nn
from paddle.io import DataLoader, Dataset
from paddle.nn import functional

from edgeflow.core.tokenizer import Tokenizer, tokenizer_of
from edgeflow.project.recipe import load_recipe, read_vocabulary

MASK, HIDDEN = 4, 0.15
"""The id of [MASK], and the share of tokens that are hidden. Source: BERT, arXiv:1810.04805."""
IGNORED = -100
CHECKPOINT = HERE / "checkpoint"
REHEARSAL = 60
"""Utterances of each old intent that are seen again while a new one is learned."""


def tokenizer() -> Tokenizer:
    """The recipe's own, so that training and device cut alike."""
    recipe = load_recipe(HERE)
    rules = recipe.ingest_settings().tokenize["input_ids"]
    return tokenizer_of(rules, read_vocabulary(recipe) or b"", "vocab.txt")


class Utterances(Dataset):
    """Ids and intents; in batches no longer than their longest."""

    def __init__(self, pairs: list[Pair], cut: Tokenizer) -> None:
        self.ids = [cut.ids(text) for text, _ in pairs]
        self.labels = [label for _, label in pairs]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[list[int], int]:
        return self.ids[index], self.labels[index]

    @staticmethod
    def joined(batch: list[tuple[list[int], int]]) -> tuple[np.ndarray, np.ndarray]:
        """ids int64[N, longest] and labels int64[N]."""
        ids = np.full((len(batch), max(len(row) for row, _ in batch)), PAD, np.int64)
        for row, (given, _) in zip(ids, batch, strict=True):
            row[: len(given)] = given
        return ids, np.array([label for _, label in batch], np.int64)


def batches(data: Utterances, size: int, workers: int) -> DataLoader:
    return DataLoader(
        data,
        batch_size=size,
        shuffle=True,
        drop_last=len(data) >= size,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=Utterances.joined,
    )


class Trainer:
    """Optimiser, warm-up, clipping, mixed precision and checkpoints around one loss."""

    def __init__(self, name: str, parameters: list[paddle.Tensor], rate: float, steps: int) -> None:
        linear = paddle.optimizer.lr.PolynomialDecay(rate, max(steps, 1), end_lr=rate / 50)
        self.schedule = paddle.optimizer.lr.LinearWarmup(linear, max(steps // 10, 1), 0.0, rate)
        clip = nn.ClipGradByGlobalNorm(1.0)
        self.optimizer = paddle.optimizer.AdamW(self.schedule, parameters=parameters, weight_decay=0.01, grad_clip=clip)
        self.gpu = paddle.device.get_device().startswith("gpu")
        self.scaler = paddle.amp.GradScaler(enable=self.gpu)
        self.name = name

    def step(self, loss_of: Callable[[], paddle.Tensor]) -> float:
        with paddle.amp.auto_cast(enable=self.gpu):
            loss = loss_of()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.clear_grad()
        self.schedule.step()
        return float(loss)

    def epochs(self, model: nn.Layer, count: int, resume: bool) -> Iterator[int]:
        """The epochs that are left, each followed by a checkpoint; `resume` begins where the last run stopped."""
        place = CHECKPOINT / self.name
        done = 0
        if resume and place.with_suffix(".json").is_file():
            done = json.loads(place.with_suffix(".json").read_text())["epochs"]
            model.set_state_dict(paddle.load(f"{place}.pdparams"))
            self.optimizer.set_state_dict(paddle.load(f"{place}.pdopt"))
        for epoch in range(done, count):
            yield epoch
            CHECKPOINT.mkdir(exist_ok=True)
            paddle.save(model.state_dict(), f"{place}.pdparams")
            paddle.save(self.optimizer.state_dict(), f"{place}.pdopt")
            place.with_suffix(".json").write_text(json.dumps({"epochs": epoch + 1}))


def pretrain(encoder: Encoder, loader: DataLoader, chosen: argparse.Namespace, name: str) -> None:
    """Fill in what is hidden: of the hidden tokens 80 % are [MASK], 10 % others, 10 % themselves."""
    words, width = encoder.words.weight.shape
    head = nn.Linear(width, words)
    model = nn.LayerList([encoder, head])
    trainer = Trainer(name, model.parameters(), 2e-3, chosen.pretrain * len(loader))
    random_of = np.random.default_rng(0)
    for epoch in trainer.epochs(model, chosen.pretrain, chosen.resume):
        model.train()
        losses = []
        for ids, _ in loader:
            plain = ids.numpy()
            hidden = (random_of.random(plain.shape) < HIDDEN) & (plain > MASK)
            kind = random_of.random(plain.shape)
            seen = np.where(hidden & (kind < 0.8), MASK, plain)
            seen = np.where(hidden & (kind > 0.9), random_of.integers(MASK + 1, words, plain.shape), seen)
            wanted = paddle.to_tensor(np.where(hidden, plain, IGNORED))
            seen = paddle.to_tensor(seen)

            def loss(seen: paddle.Tensor = seen, wanted: paddle.Tensor = wanted) -> paddle.Tensor:
                found = head(encoder(seen, paddle.zeros_like(seen)))
                return functional.cross_entropy(found, wanted, ignore_index=IGNORED)

            losses.append(trainer.step(loss))
        print(f"{name}, epoch {epoch + 1}: loss {np.mean(losses):.3f}", flush=True)


def tune(
    model: Intents, loader: DataLoader, trainer: Trainer, epochs: int, *, resume: bool, teacher: Intents | None = None
) -> None:
    """Learn the intents, half of it from a teacher's answers where there is one."""
    for epoch in trainer.epochs(model, epochs, resume):
        model.train()
        losses = []
        for ids, labels in loader:

            def loss(ids: paddle.Tensor = ids, labels: paddle.Tensor = labels) -> paddle.Tensor:
                kinds = paddle.zeros_like(ids)
                found = model(ids, kinds)
                own = functional.cross_entropy(found, labels)
                if teacher is None:
                    return own
                with paddle.no_grad():
                    told = functional.softmax(teacher(ids, kinds) / 2.0)
                return 0.5 * own + 0.5 * 4.0 * functional.kl_div(functional.log_softmax(found / 2.0), told, "batchmean")

            losses.append(trainer.step(loss))
        print(f"{trainer.name}, epoch {epoch + 1}: loss {np.mean(losses):.3f}", flush=True)


def right(model: Intents, data: Utterances) -> np.ndarray:
    """bool[N]: where the answer is right."""
    model.eval()
    order = np.argsort([len(row) for row in data.ids], kind="stable")
    found = np.zeros(len(data), bool)
    with paddle.no_grad():
        for part in np.array_split(order, max(1, len(data) // 256)):
            ids, labels = Utterances.joined([data[int(k)] for k in part])
            scores = model(paddle.to_tensor(ids), paddle.zeros(ids.shape, "int64"))
            found[part] = scores.numpy().argmax(1) == labels
    return found


def fresh(
    sizes: tuple[int, ...], loader: DataLoader, chosen: argparse.Namespace, name: str, teacher: Intents | None = None
) -> Intents:
    """Pre-trained, then fine-tuned."""
    model = Intents(*sizes)
    pretrain(model.encoder, loader, chosen, f"{name}-masking")
    trainer = Trainer(name, model.parameters(), 1e-3, chosen.epochs * len(loader))
    tune(model, loader, trainer, chosen.epochs, resume=chosen.resume, teacher=teacher)
    return model


def added(intent: str, cut: Tokenizer, chosen: argparse.Namespace) -> Intents:
    """The saved model with one intent more: all utterances of the new one, a few of each old one, a few epochs."""
    model = loaded()
    old = tuple(name for name in LABELS if name != intent)
    new = utterances(chosen.utterances // len(LABELS), SEED_TRAINING, test=False, intents=(intent,))
    kept = utterances(REHEARSAL * len(old), SEED_TRAINING + 2, test=False, intents=old)
    loader = batches(Utterances([*new, *kept], cut), chosen.batch, 0)
    trainer = Trainer("add", model.parameters(), 5e-4, chosen.add_epochs * len(loader))
    tune(model, loader, trainer, chosen.add_epochs, resume=False)
    return model


def trained(cut: Tokenizer, data: Utterances, chosen: argparse.Namespace) -> Intents:
    """From nothing; with `--teacher` from a larger network's answers too."""
    pairs = [pair for pair in training()[: chosen.utterances] if LABELS[pair[1]] != chosen.without]
    loader = batches(Utterances(pairs, cut), chosen.batch, chosen.workers)
    teacher = None
    if chosen.teacher:
        width, layers = map(int, chosen.teacher.split("x"))
        teacher = fresh((cut.size, width, layers), loader, chosen, "teacher")
        print(f"teacher: accuracy {right(teacher, data).mean():.4f}", flush=True)  # and leaves it in eval mode
    return fresh((cut.size, chosen.width, chosen.layers), loader, chosen, "intents", teacher)


def main(chosen: argparse.Namespace) -> None:
    begin = time.process_time()
    random.seed(0)
    np.random.seed(0)
    paddle.seed(0)
    gpu = paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    paddle.set_device("gpu" if gpu else "cpu")
    cut = tokenizer()
    held_out = test()
    data, special = Utterances(held_out, cut), chosen.without or chosen.add
    old = np.array([LABELS[label] != special for _, label in held_out])
    if chosen.add:
        was = right(loaded(), data)
        print(f"before: old intents {was[old].mean():.4f}, {special} {was[~old].mean():.4f}", flush=True)
    model = added(chosen.add, cut, chosen) if chosen.add else trained(cut, data, chosen)
    found = right(model, data)
    paddle.save(model.state_dict(), str(WEIGHTS))
    if special:
        print(f"after: old intents {found[old].mean():.4f}, {special} {found[~old].mean():.4f}")
    print(f"CPU seconds of this process: {time.process_time() - begin:.0f}")
    print(f"accuracy on utterances never seen: {found.mean():.4f}")
    print(f"weights: {WEIGHTS}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrain", type=int, default=2, metavar="EPOCHS", help="of masking")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1, help="processes that load data")
    parser.add_argument("--utterances", type=int, default=24000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--teacher", metavar="WIDTHxLAYERS", help="distil from a network of this size")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--without", choices=LABELS, help="leave an intent out")
    parser.add_argument("--add", choices=LABELS, help="learn one more intent from the saved model")
    parser.add_argument("--add-epochs", type=int, default=4)
    main(parser.parse_args())
