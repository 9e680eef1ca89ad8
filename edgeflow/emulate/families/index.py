"""Picking by index: gather, scatter, lookup, where, grid sampling."""

from __future__ import annotations

import numpy as np

from edgeflow.emulate.step import Lowering, Step


def gather(step: Step) -> None:
    x, index = step.x("X"), step.x("Index")
    given = step.known("Axis")
    axis = int(np.ravel(given)[0]) if given is not None else max(int(step.attr("axis", 0)), 0)  # -1 stands for unset
    if index.rank == 2 and index.shape[1] == 1:
        index = step.g.reshape(index, index.shape[:1])
    step.out("Out", step.g.add("Gather", x, index, axis=axis % x.rank))


def gather_nd(step: Step) -> None:
    step.out("Out", step.g.add("GatherND", step.x("X"), step.g.cast(step.x("Index"), "int64")))


def index_select(step: Step) -> None:
    x = step.x("X")
    step.out("Out", step.g.add("Gather", x, step.x("Index"), axis=step.axis(step.attr("dim", 0), x.rank)))


def take_along_axis(step: Step) -> None:
    x = step.x("Input")
    step.out("Result", step.g.add("GatherElements", x, step.x("Index"), axis=step.axis(step.attr("Axis", 0), x.rank)))


def scatter(step: Step) -> None:
    """Rows of X named by Ids are replaced by, or summed from, those of Updates."""
    g, x, ids, updates = step.g, step.x("X"), step.x("Ids"), step.x("Updates")
    index = g.reshape(g.cast(ids, "int64"), (ids.shape[0], 1))
    if step.attr("overwrite", True):
        step.out("Out", g.add("ScatterND", x, index, updates))
        return
    zeros = g.constant(np.zeros(updates.shape, updates.storage), updates.storage)
    step.out("Out", g.add("ScatterND", g.add("ScatterND", x, index, zeros), index, updates, reduction="add"))


def scatter_nd_add(step: Step) -> None:
    g = step.g
    step.out(
        "Out", g.add("ScatterND", step.x("X"), g.cast(step.x("Index"), "int64"), step.x("Updates"), reduction="add")
    )


def lookup_table(step: Step) -> None:
    g, ids, table = step.g, step.x("Ids"), step.x("W")
    padding = int(step.attr("padding_idx", -1))
    if table.dtype == "plain_int8" and table.const is not None:
        table = g.constant(table.const.astype(np.float32) * step.scale("W0_scale"))
    if padding >= 0 and table.const is not None:
        rows = table.const.copy()
        rows[padding] = 0
        table = g.constant(rows)
    if step.op.type == "lookup_table" and ids.rank > 1 and ids.shape[-1] == 1:
        ids = g.reshape(ids, ids.shape[:-1])
    step.out("Out", g.add("Gather", table, ids, axis=0))


def where(step: Step) -> None:
    step.out("Out", step.g.add("Where", step.x("Condition"), step.x("X"), step.x("Y")))


def grid_sampler(step: Step) -> None:
    mode = step.attr("mode", "bilinear")
    step.out(
        "Output",
        step.g.add(
            "GridSample",
            step.x("X"),
            step.x("Grid"),
            mode=mode,
            padding_mode=step.attr("padding_mode", "zeros"),
            align_corners=int(bool(step.attr("align_corners", True))),
        ),
    )


def affine_grid(step: Step) -> None:
    """Theta [N, 2, 3] -> sampling points [N, H, W, 2] in -1..1. Source: kernels/arm/affine_grid_compute.cc,
    v2.13-rc.
    """
    g, theta = step.g, step.x("Theta")
    given = step.known("OutputShape")
    shape = [int(n) for n in (np.ravel(given) if given is not None else step.attr("output_shape", ()))]
    height, width = shape[2:]
    step.bounded("output shape", shape[2:], 1 << 12)
    edge = step.attr("align_corners", True)
    ys, xs = (np.linspace(-1, 1, n) if edge else (np.arange(n) * 2 + 1) / n - 1 for n in (height, width))
    points = (
        np.stack([*np.meshgrid(xs, ys), np.ones((height, width))], -1).reshape(1, height * width, 3).astype(np.float32)
    )
    grid = g.add("MatMul", g.constant(points), g.transpose(theta, (0, 2, 1)))
    step.out("Output", g.reshape(grid, (theta.shape[0], height, width, 2)))


TABLE: dict[str, Lowering] = {
    "gather": gather,
    "gather_nd": gather_nd,
    "index_select": index_select,
    "take_along_axis": take_along_axis,
    "scatter": scatter,
    "scatter_nd_add": scatter_nd_add,
    "lookup_table": lookup_table,
    "lookup_table_v2": lookup_table,
    "where": where,
    "grid_sampler": grid_sampler,
    "affine_grid": affine_grid,
}
