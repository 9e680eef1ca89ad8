"""rnn: LSTM and GRU of any depth, one or both directions."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.graph import Array, Value
from edgeflow.emulate.step import Lowering, Step

# Gate order: Paddle's LSTM has input, forget, cell, output and ONNX's input, output, forget, cell; Paddle's GRU has
# reset, update, new and ONNX's update, reset, new. Source: paddle.nn.LSTMCell, GRUCell; ONNX operators LSTM, GRU.
LSTM_GATES, GRU_GATES = (0, 3, 1, 2), (1, 0, 2)


def rnn(step: Step, *, backward_last: bool = False) -> None:
    """Input [T, B, I]; states [layers * directions, B, H]. Source: kernels/arm/rnn_compute.cc, v2.13-rc.

    Args:
        backward_last: give the last frame's hidden state of the backward direction for its final one, as the ARM
            kernel does; of an LSTM's cell the last frame is not known, and its final state is given.
    """
    g, x = step.g, step.x("Input")
    mode = step.attr("mode", "LSTM")
    if mode not in ("LSTM", "GRU", "RNN_TANH", "RNN_RELU"):
        raise NbError(f"rnn: mode is {mode!r}, and should be 'LSTM' or 'GRU'")
    layers, hidden = int(step.attr("num_layers", 1)), int(step.attr("hidden_size", 0))
    directions = 2 if step.attr("is_bidirec", False) else 1
    weights = [step.get(name).const for name in step.op.inputs.get("WeightList", ())]
    cells = layers * directions
    if len(weights) != 4 * cells or any(w is None for w in weights):
        raise NbError(
            f"rnn: {len(weights)} weights for {layers} layers in {directions} directions, should be {4 * cells}"
        )
    arrays = [np.asarray(w, np.float32) for w in weights]
    states = step.xs("PreState")
    lengths = step.maybe("SequenceLength")
    lengths = None if lengths is None else g.cast(lengths, "int32")
    last: list[list[Value]] = [[] for _ in states]
    for layer in range(layers):
        picks = [layer * directions + d for d in range(directions)]
        kernel, recurrent, bias = _weights(arrays, picks, cells, mode)
        initial = [g.slice(state, [picks[0]], [picks[-1] + 1], [0]) for state in states]
        op_type = mode if mode in ("LSTM", "GRU") else "RNN"
        extra: dict[str, Any] = {"direction": "bidirectional" if directions == 2 else "forward", "hidden_size": hidden}
        if op_type == "GRU":
            extra["linear_before_reset"] = 1
        if op_type == "RNN":
            extra["activations"] = [mode[4:].title()] * directions
        results = g.add_many(
            op_type,
            [x, g.constant(kernel), g.constant(recurrent), g.constant(bias), lengths, *initial],
            1 + len(states),
            **extra,
        )
        y = g.transpose(results[0], (0, 2, 1, 3))  # [T, B, directions, H]
        x = g.reshape(y, (*y.shape[:2], directions * hidden))
        ends = list(results[1:])
        if backward_last and directions == 2:
            frame = g.slice(results[0], [x.shape[0] - 1, 1], [x.shape[0], 2], [0, 1])
            ends[0] = g.concat([g.slice(ends[0], [0], [1], [0]), g.reshape(frame, (1, *ends[0].shape[1:]))], 0)
        for kept, state in zip(last, ends, strict=True):
            kept.append(state)
    step.out("Out", x)
    for index, kept in enumerate(last):
        step.out("State", g.concat(kept, 0), index)


def _weights(arrays: list[Array], picks: list[int], cells: int, mode: str) -> tuple[Array, Array, Array]:
    """W, R and B of one layer as ONNX wants them: [directions, gates * H, ...].

    WeightList holds (input, hidden) weights of every cell, then (input, hidden) biases of every cell.
    """
    order = {"LSTM": LSTM_GATES, "GRU": GRU_GATES}.get(mode, (0,))

    def gates(array: Array) -> Array:
        parts = np.split(array, len(order))
        return np.concatenate([parts[i] for i in order])

    kernel = np.stack([gates(arrays[2 * i]) for i in picks])
    recurrent = np.stack([gates(arrays[2 * i + 1]) for i in picks])
    bias = np.stack(
        [np.concatenate([gates(arrays[2 * (cells + i)]), gates(arrays[2 * (cells + i) + 1])]) for i in picks]
    )
    return kernel, recurrent, bias


TABLE: dict[str, Lowering] = {"rnn": rnn}
