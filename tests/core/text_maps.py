"""Probability maps as text detectors give them: straight, turned, curved, tiny, touching and no lines, with holes."""

from __future__ import annotations

import numpy as np

KINDS = ("straight", "turned", "curved", "tiny", "touching", "holes", "faint", "empty", "noise", "edge")


def map_of(seed: int) -> np.ndarray:
    """float32[H, W] of the kind that the seed chooses; values are what a detector's sigmoid would say."""
    random = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    height, width = (int(size) * 32 for size in random.integers(3, 9, 2))
    y, x = np.mgrid[:height, :width].astype(np.float64)
    logits = np.full((height, width), -6.0)
    if kind == "empty":
        return np.asarray(random.uniform(0, 0.2, (height, width)), np.float32)
    for line in range(int(random.integers(1, 7))):
        cx, cy = random.uniform(0, width), random.uniform(0, height)
        half = random.uniform(10, width / 2), random.uniform(3, 12)
        if kind == "tiny":
            half = random.uniform(0.6, 6), random.uniform(0.6, 4)
        elif kind == "touching":
            cy, half = 20.0 + 14 * line, (half[0], 7.0)
        elif kind == "edge":
            cx, cy = random.choice([0, width]), random.choice([0, height])
        turn = random.uniform(-1, 1) * {"turned": np.pi, "straight": 0.0}.get(kind, 0.05)
        bend = random.uniform(-0.01, 0.01) if kind == "curved" else 0.0
        u, v = x - cx, y - cy
        u, v = u * np.cos(turn) + v * np.sin(turn), -u * np.sin(turn) + v * np.cos(turn)
        v = v + bend * u * u
        deep = np.minimum(half[0] - np.abs(u), half[1] - np.abs(v))  # how far inside
        logits = np.maximum(logits, np.clip(deep * (0.6 if kind == "faint" else 2.0), -6, 6))
    if kind == "holes":
        for _ in range(12):
            cx, cy, radius = random.uniform(0, width), random.uniform(0, height), random.uniform(1, 6)
            logits[np.hypot(x - cx, y - cy) < radius] = random.uniform(-4, 0)
    logits += random.normal(0, 2.5 if kind == "noise" else 0.2, logits.shape)
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
