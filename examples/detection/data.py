"""Pictures with shapes to find, drawn here: discs, squares, triangles and crosses of any colour, size and angle.

Shapes have soft edges, may overlap, and lie on a background with a slope of brightness and noise.
"""

import numpy as np

SIDE = 96
CLASSES = ("disc", "square", "triangle", "cross")
SHAPES_MAX = 4
RADIUS = (12.0, 28.0)
"""Pixels."""

OVERLAP_MAX = 0.2
"""Of the smaller of two boxes."""

TRIES = 4
"""For each shape, until it lies where it can be seen; what finds no place is left out."""

CONTRAST_MIN, NOISE_MAX = 0.4, 0.06
"""Of a shape's colour against the background, and the deviation of each pixel; of 1."""

TRAINING, EVALUATION = 3000, 2000
"""How many pictures; a third as many cannot tell the loss of int8, 0.6 points of mAP, from one of a whole point."""

SEED_TRAINING, SEED_EVALUATION = 1, 2
Y, X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + 0.5


def corners(sides: int, radius: float, angle: float) -> np.ndarray:
    """Corners of a regular polygon around 0, float[sides, 2]."""
    turn = angle + 2 * np.pi * np.arange(sides) / sides
    return radius * np.stack([np.cos(turn), np.sin(turn)], 1)


def depth(points: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far inside a convex polygon each pixel lies; negative outside."""
    after = np.roll(points, -1, 0)
    along = (after - points) / np.linalg.norm(after - points, axis=1, keepdims=True)
    return np.min([dx * (y - py) - dy * (x - px) for (px, py), (dx, dy) in zip(points, along, strict=True)], 0)


def shape(kind: int, radius: float, angle: float, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The depth of each pixel in a shape around 0, and the shape's corners, of which its box is made."""
    if CLASSES[kind] == "disc":
        return radius - np.hypot(x, y), np.array([[-radius, -radius], [radius, radius]])
    if CLASSES[kind] == "cross":
        bar = radius * np.array([[1, 0.3], [-1, 0.3], [-1, -0.3], [1, -0.3]])
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        bars = [bar @ turn, bar @ turn @ np.array([[0, 1], [-1, 0]])]
        return np.max([depth(one, x, y) for one in bars], 0), np.concatenate(bars)
    points = corners(4 if CLASSES[kind] == "square" else 3, radius, angle)
    return depth(points, x, y), points


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Shared area as a share of the smaller box."""
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(shared / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])))


def picture(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One picture uint8[96, 96, 3] in RGB, and its boxes float32[SHAPES_MAX, 5]: class, x1, y1, x2, y2 in pixels.

    Rows that stand for no shape have class -1.
    """
    base, slope = rng.uniform(0.1, 0.9, 3), rng.uniform(-0.2, 0.2, (2, 3))
    canvas = base + ((X / SIDE - 0.5)[..., None] * slope[0] + (Y / SIDE - 0.5)[..., None] * slope[1])
    boxes: list[np.ndarray] = []
    wanted = int(rng.integers(1, SHAPES_MAX + 1))
    for _ in range(TRIES * wanted):
        kind, radius = int(rng.integers(len(CLASSES))), float(np.exp(rng.uniform(*np.log(RADIUS))))
        center, colour = rng.uniform(0.7 * radius, SIDE - 0.7 * radius, 2), rng.uniform(0, 1, 3)
        inside, points = shape(kind, radius, float(rng.uniform(0, 2 * np.pi)), X - center[0], Y - center[1])
        box = np.concatenate([points.min(0) + center, points.max(0) + center]).clip(0, SIDE)
        hidden = any(overlap(box, other[1:]) > OVERLAP_MAX for other in boxes)
        if len(boxes) == wanted or hidden or np.abs(colour - base).max() < CONTRAST_MIN:
            continue
        cover = np.clip(inside + 0.5, 0, 1)[..., None]
        canvas = canvas * (1 - cover) + colour * cover
        boxes.append(np.array([kind, *box]))
    canvas = canvas + rng.normal(0, rng.uniform(0.0, NOISE_MAX), canvas.shape)
    labels = np.full((SHAPES_MAX, 5), -1.0, np.float32)
    if boxes:
        labels[: len(boxes)] = boxes
    return (canvas.clip(0, 1) * 255 + 0.5).astype(np.uint8), labels


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8[count, 96, 96, 3] and labels float32[count, SHAPES_MAX, 5]; the same for the same seed."""
    rng = np.random.default_rng(seed)
    drawn, labels = zip(*(picture(rng) for _ in range(count)), strict=True)
    return np.stack(drawn), np.stack(labels)


def calibration() -> dict[str, np.ndarray]:
    """Pictures that set the quantisation ranges: the first of those that it learned from."""
    return {"image": pictures(64, SEED_TRAINING)[0]}


def evaluation() -> dict[str, np.ndarray]:
    """Pictures that the network never saw, with their boxes."""
    drawn, labels = pictures(EVALUATION, SEED_EVALUATION)
    return {"image": drawn, "label": labels}
