"""Train the detector on two CPU cores in a few minutes, or on a GPU."""

import argparse

import numpy as np
import paddle
from data import EVALUATION, SEED_EVALUATION, SEED_TRAINING, SIDE, TRAINING, pictures
from model import BINS, STRIDES, WEIGHTS, Detector, points
from paddle.nn import functional
from rich.progress import track

from edgeflow.core.metrics import weighed_named

LARGE = 36.0
"""Shapes with a side from here on, in pixels, are found at the coarse stride."""

NEAR = 1.5
"""Points this many strides from a shape's centre, and inside its box, learn to find it."""

MEAN, STD = 0.5, 0.25
"""As in edgeflow.toml."""


def prepared(drawn: np.ndarray) -> np.ndarray:
    """Pictures as the network takes them, float32[N, 3, 96, 96]."""
    return ((drawn.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2)


def wanted(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each point should find: classes int64[N, P], -1 for nothing, and boxes float32[N, P, 4]."""
    at, strides = points()
    stride = strides[:, 0]
    kinds = np.full((len(labels), len(at)), -1, np.int64)
    boxes = np.zeros((len(labels), len(at), 4), np.float32)
    for n, rows in enumerate(labels):
        for kind, *box in sorted(rows[rows[:, 0] >= 0].tolist(), key=lambda row: row[1] - row[3]):  # the narrow last
            low, high = np.array(box[:2]), np.array(box[2:])
            right = STRIDES[1] if (high - low).max() >= LARGE else STRIDES[0]
            near = np.abs(at - (low + high) / 2).max(1) < NEAR * stride
            mine = (stride == right) & near & (at > low).all(1) & (at < high).all(1)
            kinds[n, mine], boxes[n, mine] = int(kind), box
    return kinds, boxes


def overlaps(a: paddle.Tensor, b: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
    """IoU and generalised IoU of boxes [K, 4], pair by pair."""
    shared = functional.relu(paddle.minimum(a[:, 2:], b[:, 2:]) - paddle.maximum(a[:, :2], b[:, :2])).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared
    around = (paddle.maximum(a[:, 2:], b[:, 2:]) - paddle.minimum(a[:, :2], b[:, :2])).prod(1)
    iou = shared / (union + 1e-6)
    return iou, iou - (around - union) / (around + 1e-6)


def loss(model: Detector, x: paddle.Tensor, kinds: np.ndarray, boxes: np.ndarray) -> paddle.Tensor:
    """Generalised focal loss: a score learns how well its box fits, and each side learns its distribution."""
    scores, sides = model.raw(x)
    n, p = np.nonzero(kinds >= 0)
    where = paddle.to_tensor(n * kinds.shape[1] + p)
    chosen = sides.reshape([-1, 4, BINS]).index_select(where)
    found = model.boxes(sides).reshape([-1, 4]).index_select(where)
    truth = paddle.to_tensor(boxes[n, p])
    iou, generalised = overlaps(found, truth)
    quality = np.zeros((len(kinds), scores.shape[1], kinds.shape[1]), np.float32)
    quality[n, kinds[n, p], p] = iou.detach().numpy().clip(0, 1)
    target = paddle.to_tensor(quality)
    weight = (target - functional.sigmoid(scores.detach())).square()
    of_scores = (functional.binary_cross_entropy_with_logits(scores, target, reduction="none") * weight).sum()
    at, stride = points()
    away = np.concatenate([at[p] - boxes[n, p][:, :2], boxes[n, p][:, 2:] - at[p]], 1) / stride[p]
    away = away.clip(0, BINS - 1.01).astype(np.float32)
    low = np.floor(away)
    logs, part = functional.log_softmax(chosen, -1), paddle.to_tensor(away - low)
    bins = paddle.to_tensor(np.stack([low, low + 1], -1).astype(np.int64))
    both = logs.take_along_axis(bins, -1)
    of_sides = -(both[..., 0] * (1 - part) + both[..., 1] * part).mean(1).sum()
    return (of_scores + (1 - generalised).sum() + 0.25 * of_sides) / max(len(n), 1)


def score(model: Detector, drawn: np.ndarray, labels: np.ndarray) -> float:
    """Mean average precision as COCO counts it."""
    model.eval()
    with paddle.no_grad():
        parts = [model(paddle.to_tensor(prepared(drawn[k : k + 64]))) for k in range(0, len(drawn), 64)]
    boxes, counts = (np.concatenate([part[k].numpy() for part in parts]) for k in range(2))
    return weighed_named("map")([boxes, counts], labels)


def train(epochs: int, batch: int, count: int, seed: int = 0) -> float:
    """Train, save the weights beside model.py, and return the mean average precision on pictures never seen."""
    paddle.seed(seed)
    rng = np.random.default_rng(seed)
    drawn, labels = pictures(count, SEED_TRAINING)
    model = Detector()
    steps = len(drawn) // batch
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(3e-3, epochs * steps)
    schedule = paddle.optimizer.lr.LinearWarmup(schedule, min(100, steps), 1e-4, 3e-3)
    optimizer = paddle.optimizer.AdamW(
        schedule, parameters=model.parameters(), weight_decay=1e-2, grad_clip=paddle.nn.ClipGradByGlobalNorm(10.0)
    )
    for _ in track(range(epochs), description="training"):
        model.train()
        for chosen in np.array_split(rng.permutation(len(drawn)), steps):
            seen, known = drawn[chosen], labels[chosen].copy()
            if rng.random() < 0.5:  # a mirrored picture shows the same shapes
                seen = seen[:, :, ::-1]
                known[..., [1, 3]] = np.where(known[..., :1] >= 0, SIDE - known[..., [3, 1]], -1)
            given = loss(model, paddle.to_tensor(prepared(seen)), *wanted(known))
            given.backward()
            optimizer.step()
            optimizer.clear_grad()
            schedule.step()
    paddle.save(model.state_dict(), str(WEIGHTS))
    return score(model, *pictures(EVALUATION, SEED_EVALUATION))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=TRAINING, help="how many pictures are drawn to learn from")
    chosen = parser.parse_args()
    print(f"mAP on pictures never seen: {train(chosen.epochs, chosen.batch, chosen.pictures):.4f}")
    print(f"weights: {WEIGHTS}")
