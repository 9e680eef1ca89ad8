"""Train the network on the CPU in well under two minutes, or on a GPU with mixed precision."""

import argparse
import random

import numpy as np
import paddle
from data import split
from model import WEIGHTS, Digits
from paddle.io import DataLoader, Dataset
from paddle.static import InputSpec

try:
    from rich.progress import track
except ImportError:  # a bar is all that it brings

    def track(epochs: range, description: str) -> range:
        """The epochs, without a bar."""
        print(description)
        return epochs


class Pictures(Dataset):
    """Pictures and labels; while training each picture is shifted by up to one pixel."""

    def __init__(self, pictures: np.ndarray, labels: np.ndarray, *, shift: bool) -> None:
        self.pictures, self.labels, self.shift = pictures, labels, shift

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        picture = self.pictures[index]
        if self.shift:
            padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)))
            top, left = random.randrange(3), random.randrange(3)
            picture = padded[:, top : top + 8, left : left + 8]
        return picture, self.labels[index]


def accuracy(model: paddle.nn.Layer, loader: DataLoader) -> float:
    """Share of right answers."""
    model.eval()
    with paddle.no_grad():
        right = [model(x).argmax(-1).numpy() == y.numpy() for x, y in loader]
    return float(np.concatenate(right).mean())


def train(epochs: int, batch: int, workers: int, seed: int = 0) -> float:
    """Train, save the weights beside model.py, and return the accuracy on the held-out part."""
    random.seed(seed)
    np.random.seed(seed)
    paddle.seed(seed)
    gpu = paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    paddle.set_device("gpu" if gpu else "cpu")
    train_x, test_x, train_y, test_y = split()
    loader = DataLoader(
        Pictures(train_x, train_y, shift=True),
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    held_out = DataLoader(Pictures(test_x, test_y, shift=False), batch_size=256)
    model = Digits()
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(2e-3, epochs * len(loader))
    optimizer = paddle.optimizer.AdamW(schedule, parameters=model.parameters(), weight_decay=1e-3)
    scaler = paddle.amp.GradScaler(enable=gpu)
    for _ in track(range(epochs), description=f"training on the {'GPU' if gpu else 'CPU'}"):
        model.train()
        for x, y in loader:
            with paddle.amp.auto_cast(enable=gpu):
                loss = paddle.nn.functional.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.clear_grad()
            schedule.step()
    result = accuracy(model, held_out)
    paddle.save(model.state_dict(), str(WEIGHTS))
    model.eval()
    paddle.jit.save(
        model, str(WEIGHTS.with_name("export") / "digits"), input_spec=[InputSpec([None, 1, 8, 8], "float32", "image")]
    )
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2, help="processes that load data")
    chosen = parser.parse_args()
    print(f"accuracy on held-out digits: {train(chosen.epochs, chosen.batch, chosen.workers):.4f}")
    print(f"weights: {WEIGHTS}")
