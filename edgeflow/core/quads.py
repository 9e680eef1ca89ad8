"""Areas and overlaps of quadrilaterals, also of those that are not convex; corners in order, either way round."""

from __future__ import annotations

import numpy as np

from edgeflow.core.metric import Array

SPLITS = ((0, 1, 2, 0, 2, 3), (0, 1, 3, 1, 2, 3))
"""The two ways to cut a quadrilateral along a diagonal into triangles."""

TOLERANCE = 1e-9
"""Of the size of a pair: what lies so near to an edge lies on it."""


def crosses_itself(quads: Array) -> Array:
    """Quadrilaterals [P, 4, 2] whose edges cross, such as corners from left to right and again: bool[P]."""
    return np.asarray(~_simple(quads).any(0))


def areas(quads: Array) -> Array:
    """Areas of [P, 4, 2]; 0 of what crosses itself."""
    return np.asarray(np.where(crosses_itself(quads), 0.0, np.abs(_signed(triangles(quads))).sum(1)))


def intersections(a: Array, b: Array) -> Array:
    """The area that two quadrilaterals share, of each pair of float64[P, 4, 2]; 0 where one crosses itself."""
    low = np.minimum(a.min(1), b.min(1))
    size = np.maximum(np.maximum(a.max(1), b.max(1)) - low, np.finfo(np.float64).tiny).max(1)
    scaled = [(quads - low[:, None]) / size[:, None, None] for quads in (a, b)]
    first, second = (triangles(quads) for quads in scaled)
    shared = np.zeros(len(a))
    for i in range(2):
        for j in range(2):
            shared += _of_triangles(first[:, i], second[:, j])
    return np.asarray(np.where(crosses_itself(a) | crosses_itself(b), 0.0, shared * size * size))


def triangles(quads: Array) -> Array:
    """Two triangles for each of [P, 4, 2], anticlockwise: [P, 2, 3, 2]."""
    split = np.asarray(SPLITS)[np.where(_simple(quads)[0], 0, 1)]
    found = np.take_along_axis(quads, split[..., None], axis=1).reshape(len(quads), 2, 3, 2)
    return np.asarray(np.where((_signed(found) < 0)[..., None, None], found[:, :, ::-1], found))


def _signed(found: Array) -> Array:
    a, b, c = (found[..., k, :] for k in range(3))
    return np.asarray(_cross(b - a, c - a) / 2)


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _simple(quads: Array) -> Array:
    """Whether each cut leaves two triangles that turn the same way: bool[2, P]."""
    turned = [_signed(quads[:, order].reshape(len(quads), 2, 3, 2)) for order in SPLITS]
    return np.stack([two[:, 0] * two[:, 1] >= 0 for two in turned])


def _of_triangles(a: Array, b: Array) -> Array:
    """What two triangles [P, 3, 2] share: corners of each in the other and crossings of edges span its hull."""
    points = [a, b]
    inside = [_inside(a, b), _inside(b, a)]
    start, way = a[:, :, None], (np.roll(a, -1, 1) - a)[:, :, None]
    other, other_way = b[:, None], (np.roll(b, -1, 1) - b)[:, None]
    turn = _cross(way, other_way)
    with np.errstate(invalid="ignore", divide="ignore"):
        along = _cross(other - start, other_way) / turn
        across = _cross(other - start, way) / turn
        crossing = start + along[..., None] * way
    meets = (np.abs(turn) > 1e-15) & (along >= 0) & (along <= 1) & (across >= 0) & (across <= 1)
    points.append(np.where(meets[..., None], crossing, 0.0).reshape(len(a), 9, 2))
    inside.append(meets.reshape(len(a), 9))
    return _hull_area(np.concatenate(points, 1), np.concatenate(inside, 1))


def _inside(points: Array, triangle: Array) -> Array:
    """Which points [P, K, 2] lie in an anticlockwise triangle [P, 3, 2], edges included."""
    edges = (np.roll(triangle, -1, 1) - triangle)[:, None]
    return np.asarray((_cross(edges, points[:, :, None] - triangle[:, None]) >= -TOLERANCE).all(2))


def _hull_area(points: Array, there: Array) -> Array:
    """The area that the points [P, K, 2] which are there span; they lie on one convex outline."""
    many = there.sum(1)
    middle = np.where(there[..., None], points, 0.0).sum(1) / np.maximum(many, 1)[:, None]
    apart = points - middle[:, None]
    angle = np.where(there, np.arctan2(apart[..., 1], apart[..., 0]), np.inf)
    order = np.argsort(angle, axis=1, kind="stable")
    ring = np.take_along_axis(apart, order[..., None], axis=1)
    # What is not there stands last, and becomes the first point again: no area of its own.
    ring = np.where((np.arange(ring.shape[1]) < many[:, None])[..., None], ring, ring[:, :1])
    area = np.abs(_cross(ring, np.roll(ring, -1, 1)).sum(1)) / 2
    return np.asarray(np.where(many >= 3, area, 0.0))
