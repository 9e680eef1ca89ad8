"""Boxes: priors (which depend on shapes alone), coding, YOLO decoding, region pooling."""

from __future__ import annotations

import math

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.bounds import ELEMENTS_MAX
from edgeflow.emulate.graph import Array, Value
from edgeflow.emulate.step import Lowering, Step

SAME_RATIO = 1e-6
"""Aspect ratios closer than this are one. Source: Paddle-Lite kernels/host/prior_box_compute.cc ExpandAspectRatios."""


def _cells(step: Step, priors: int) -> tuple[int, int]:
    """Height and width of the feature map, held to what its priors may take."""
    height, width = step.x("Input").shape[2:]
    if height * width * max(priors, 1) * 4 > ELEMENTS_MAX:
        raise NbError(
            f"{step.op.type}: {priors} priors on a map of {height} x {width} are more than {ELEMENTS_MAX} elements"
        )
    return height, width


def prior_box(step: Step) -> None:
    """Source: Paddle-Lite lite/kernels/host/prior_box_compute.cc, v2.13-rc."""
    height, width = _cells(step, len(_prior_sizes(step)))
    image_height, image_width = step.x("Image").shape[2:]
    step_w = float(step.attr("step_w", 0.0)) or image_width / width
    step_h = float(step.attr("step_h", 0.0)) or image_height / height
    if float(step.attr("step_w", 0.0)) == 0 or float(step.attr("step_h", 0.0)) == 0:
        step_w, step_h = image_width / width, image_height / height
    offset = float(step.attr("offset", 0.5))
    sizes = np.asarray(_prior_sizes(step), np.float32)
    xs = (np.arange(width, dtype=np.float32) + np.float32(offset)) * np.float32(step_w)
    ys = (np.arange(height, dtype=np.float32) + np.float32(offset)) * np.float32(step_h)
    centre = np.stack(np.meshgrid(xs, ys), -1)[:, :, None, :]  # [H, W, 1, 2]
    half = sizes[None, None] / 2
    boxes = np.concatenate([centre - half, centre + half], -1)
    boxes = boxes / np.asarray([image_width, image_height] * 2, np.float32)
    _emit_priors(step, boxes.astype(np.float32))


def _prior_sizes(step: Step) -> list[tuple[float, float]]:
    """(width, height) of each prior at a cell, in the kernel's order."""
    ratios = [1.0]
    for ratio in step.attr("aspect_ratios", ()):
        for value in [ratio, 1 / ratio] if step.attr("flip", False) else [ratio]:
            if all(abs(value - known) > SAME_RATIO for known in ratios):
                ratios.append(float(value))
    sizes: list[tuple[float, float]] = []
    largest = list(step.attr("max_sizes", ()) or ())
    for index, smallest in enumerate(step.attr("min_sizes", ())):
        by_ratio = [(smallest * math.sqrt(r), smallest / math.sqrt(r)) for r in ratios]
        square = [(math.sqrt(smallest * largest[index]),) * 2] if index < len(largest) else []
        if step.attr("min_max_aspect_ratios_order", False):
            sizes += [(smallest, smallest), *square, *by_ratio[1:]]
        else:
            sizes += [*by_ratio, *square]
    return sizes


def _emit_priors(step: Step, boxes: Array) -> None:
    if step.attr("clip", False):
        boxes = np.clip(boxes, 0, 1)
    variances = np.broadcast_to(np.asarray(step.attr("variances", (0.1, 0.1, 0.2, 0.2)), np.float32), boxes.shape)
    if step.attr("flatten_to_2d", False):
        boxes, variances = boxes.reshape(-1, 4), variances.reshape(-1, 4)
    step.out("Boxes", step.g.constant(boxes))
    step.out("Variances", step.g.constant(variances))


def density_prior_box(step: Step) -> None:
    """Source: Paddle-Lite lite/kernels/host/density_prior_box_compute.cc, v2.13-rc."""
    per_cell = sum(d * d for d in step.attr("densities", ())) * len(step.attr("fixed_ratios", ()))
    height, width = _cells(step, per_cell)
    image_height, image_width = step.x("Image").shape[2:]
    step_w, step_h = float(step.attr("step_w", 0.0)), float(step.attr("step_h", 0.0))
    if step_w == 0 or step_h == 0:
        step_w, step_h = image_width / width, image_height / height
    offset, average = float(step.attr("offset", 0.5)), int((step_w + step_h) * 0.5)
    boxes = []
    for row in range(height):
        for column in range(width):
            cx, cy = (column + offset) * step_w, (row + offset) * step_h
            for size, density in zip(step.attr("fixed_sizes", ()), step.attr("densities", ()), strict=True):
                shift = average // density
                for ratio in step.attr("fixed_ratios", ()):
                    w, h = size * math.sqrt(ratio), size / math.sqrt(ratio)
                    left = cx - average / 2.0 + shift / 2.0
                    top = cy - average / 2.0 + shift / 2.0
                    for i in range(density):
                        for j in range(density):
                            x, y = left + j * shift, top + i * shift
                            boxes.append(
                                (
                                    max((x - w / 2) / image_width, 0),
                                    max((y - h / 2) / image_height, 0),
                                    min((x + w / 2) / image_width, 1),
                                    min((y + h / 2) / image_height, 1),
                                )
                            )
    _emit_priors(step, np.asarray(boxes, np.float32).reshape(height, width, -1, 4))


def anchor_generator(step: Step) -> None:
    """Source: Paddle-Lite lite/kernels/host/anchor_generator_compute.cc, v2.13-rc."""
    height, width = _cells(step, len(step.attr("aspect_ratios", ())) * len(step.attr("anchor_sizes", ())))
    stride, offset = step.attr("stride", (16.0, 16.0)), float(step.attr("offset", 0.5))
    sizes = []
    for ratio in step.attr("aspect_ratios", ()):
        for size in step.attr("anchor_sizes", ()):
            base_w = round(math.sqrt(stride[0] * stride[1] / ratio))
            base_h = round(base_w * ratio)
            sizes.append((size / stride[0] * base_w, size / stride[1] * base_h))
    half = (np.asarray(sizes, np.float32) - 1) / 2
    xs = np.arange(width, dtype=np.float32) * np.float32(stride[0]) + np.float32(offset * (stride[0] - 1))
    ys = np.arange(height, dtype=np.float32) * np.float32(stride[1]) + np.float32(offset * (stride[1] - 1))
    centre = np.stack(np.meshgrid(xs, ys), -1)[:, :, None, :]
    anchors = np.concatenate([centre - half, centre + half], -1).astype(np.float32)
    variances = np.broadcast_to(np.asarray(step.attr("variances", (0.1, 0.1, 0.2, 0.2)), np.float32), anchors.shape)
    step.out("Anchors", step.g.constant(anchors))
    step.out("Variances", step.g.constant(variances))


def box_coder(step: Step) -> None:
    """Source: Paddle-Lite lite/backends/arm/math/box_coder.cc, kernels/host/box_coder_compute.cc, v2.13-rc."""
    g, prior, target = step.g, step.x("PriorBox"), step.x("TargetBox")
    variance_input = step.maybe("PriorBoxVar")
    variance = step.attr("variance", ()) or ()
    one = 0.0 if step.attr("box_normalized", True) else 1.0
    parts = [g.slice(prior, [i], [i + 1], [1]) for i in range(4)]  # [M, 1] each
    width = g.plus(g.add("Sub", parts[2], parts[0]), one)
    height = g.plus(g.add("Sub", parts[3], parts[1]), one)
    cx, cy = (g.plus(low, g.mul(size, 0.5)) for low, size in ((parts[0], width), (parts[1], height)))
    decode = step.attr("code_type", "encode_center_size") == "decode_center_size"
    m = prior.shape[0]
    if decode:
        axis = int(step.attr("axis", 0))
        shape = (1, m, 1) if axis == 0 else (m, 1, 1)
        width, height, cx, cy = (g.reshape(v, shape) for v in (width, height, cx, cy))
        codes = [g.slice(target, [i], [i + 1], [2]) for i in range(4)]
        if variance_input is not None:
            spread = g.reshape(variance_input, (*shape[:2], 4))
            codes = [g.mul(code, g.slice(spread, [i], [i + 1], [2])) for i, code in enumerate(codes)]
        elif len(variance) == 4:
            codes = [g.mul(code, float(v)) for code, v in zip(codes, variance, strict=True)]
        x, y = (g.plus(g.mul(code, size), mid) for code, size, mid in ((codes[0], width, cx), (codes[1], height, cy)))
        w, h = (g.mul(g.add("Exp", code), size) for code, size in ((codes[2], width), (codes[3], height)))
        half_w, half_h = g.mul(w, 0.5), g.mul(h, 0.5)
        step.out(
            "OutputBox",
            g.concat(
                [
                    g.add("Sub", x, half_w),
                    g.add("Sub", y, half_h),
                    g.plus(g.plus(x, half_w), -one),
                    g.plus(g.plus(y, half_h), -one),
                ],
                2,
            ),
        )
        return
    n = target.shape[0]
    ends = [g.reshape(g.slice(target, [i], [i + 1], [1]), (n, 1)) for i in range(4)]
    width, height, cx, cy = (g.reshape(v, (1, m)) for v in (width, height, cx, cy))
    tx, ty = (g.mul(g.plus(ends[i], ends[i + 2]), 0.5) for i in range(2))
    tw, th = (g.plus(g.add("Sub", ends[i + 2], ends[i]), one) for i in range(2))
    encoded: list[Value] = [
        g.add("Div", g.add("Sub", tx, cx), width),
        g.add("Div", g.add("Sub", ty, cy), height),
        g.add("Log", g.add("Abs", g.add("Div", tw, width))),
        g.add("Log", g.add("Abs", g.add("Div", th, height))),
    ]
    stacked = g.concat([g.reshape(v, (n, m, 1)) for v in encoded], 2)
    if variance_input is not None:
        stacked = g.add("Div", stacked, g.reshape(variance_input, (1, m, 4)))
    elif len(variance) == 4:
        stacked = g.add("Div", stacked, g.constant(np.asarray(variance, np.float32)))
    step.out("OutputBox", stacked)


def yolo_box(step: Step) -> None:
    """Source: Paddle-Lite lite/kernels/host/yolo_box_compute.cc, v2.13-rc."""
    g, x = step.g, step.x("X")
    aware = bool(step.attr("iou_aware", False))
    anchors = np.asarray(step.attr("anchors", ()), np.float32).reshape(-1, 2)
    classes, count = int(step.attr("class_num", 1)), len(anchors)
    n, channels, height, width = x.shape
    if channels != count * (5 + classes + aware):
        raise NbError(f"yolo_box: {channels} channels for {count} anchors of {classes} classes")
    down, stretch = int(step.attr("downsample_ratio", 32)), float(step.attr("scale_x_y", 1.0))
    plain = x if not aware else g.slice(x, [count], [channels], [1])
    grid = g.reshape(plain, (n, count, 5 + classes, height, width))

    def take(low: int, high: int) -> Value:
        return g.slice(grid, [low], [high], [2])  # [N, A, high - low, H, W]

    shift = -0.5 * (stretch - 1.0)
    image = g.reshape(g.cast(step.x("ImgSize"), "float32"), (n, 1, 1, 1, 2))
    image_h, image_w = g.slice(image, [0], [1], [4]), g.slice(image, [1], [2], [4])
    columns = g.constant(np.arange(width, dtype=np.float32).reshape(1, 1, 1, 1, width))
    rows = g.constant(np.arange(height, dtype=np.float32).reshape(1, 1, 1, height, 1))

    def centre(index: int, cells: Value, size: int, scale: Value) -> Value:
        place = g.plus(g.mul(g.add("Sigmoid", take(index, index + 1)), stretch), shift)
        return g.mul(g.mul(g.plus(place, cells), scale), 1.0 / size)

    def extent(index: int, side: int, size: int, scale: Value) -> Value:
        wide = g.constant(anchors[:, side].reshape(1, count, 1, 1, 1) / np.float32(down * size))
        return g.mul(g.mul(g.add("Exp", take(index, index + 1)), wide), scale)

    cx, cy = centre(0, columns, width, image_w), centre(1, rows, height, image_h)
    w, h = extent(2, 0, width, image_w), extent(3, 1, height, image_h)
    half_w, half_h = g.mul(w, 0.5), g.mul(h, 0.5)
    x1, y1, x2, y2 = g.add("Sub", cx, half_w), g.add("Sub", cy, half_h), g.plus(cx, half_w), g.plus(cy, half_h)
    if step.attr("clip_bbox", True):
        x1, y1 = (g.clip(v, 0.0, None) for v in (x1, y1))
        x2, y2 = g.add("Min", x2, g.plus(image_w, -1.0)), g.add("Min", y2, g.plus(image_h, -1.0))
    confidence = g.add("Sigmoid", take(4, 5))
    if aware:  # the first channels hold each anchor's expected overlap
        factor = float(step.attr("iou_aware_factor", 0.5))
        overlap = g.add("Sigmoid", g.reshape(g.slice(x, [0], [count], [1]), (n, count, 1, height, width)))
        confidence = g.mul(g.add("Pow", confidence, g.scalar(1 - factor)), g.add("Pow", overlap, g.scalar(factor)))
    keep = g.cast(g.add("GreaterOrEqual", confidence, g.scalar(float(step.attr("conf_thresh", 0.01)))), "float32")
    boxes = g.mul(g.concat([x1, y1, x2, y2], 2), keep)
    scores = g.mul(g.mul(g.add("Sigmoid", take(5, 5 + classes)), confidence), keep)
    total = count * height * width
    step.out("Boxes", g.reshape(g.transpose(boxes, (0, 1, 3, 4, 2)), (n, total, 4)))
    step.out("Scores", g.reshape(g.transpose(scores, (0, 1, 3, 4, 2)), (n, total, classes)))


def roi_align(step: Step) -> None:
    g, x, rois = step.g, step.x("X"), step.x("ROIs")
    counts = step.known("RoisNum")
    if counts is None:
        counts = np.asarray([rois.shape[0]])
    batch = np.repeat(np.arange(len(counts)), counts.astype(np.int64))
    step.out(
        "Out",
        g.add(
            "RoiAlign",
            x,
            rois,
            g.constant(batch.astype(np.int64), "int64"),
            mode="avg",
            output_height=int(step.attr("pooled_height", 1)),
            output_width=int(step.attr("pooled_width", 1)),
            sampling_ratio=max(int(step.attr("sampling_ratio", -1)), 0),
            spatial_scale=float(step.attr("spatial_scale", 1.0)),
            coordinate_transformation_mode="half_pixel" if step.attr("aligned", False) else "output_half_pixel",
        ),
    )


TABLE: dict[str, Lowering] = {
    "prior_box": prior_box,
    "density_prior_box": density_prior_box,
    "anchor_generator": anchor_generator,
    "box_coder": box_coder,
    "yolo_box": yolo_box,
    "roi_align": roi_align,
}
