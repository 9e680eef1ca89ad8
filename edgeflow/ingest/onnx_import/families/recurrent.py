"""LSTM, GRU and plain recurrent layers as Paddle's rnn op, forward, backward and both."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.ingest.onnx_import.step import Step, Translation, Untranslatable

GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Which of ONNX's gates comes where in Paddle: i o f c becomes i f c o, z r h becomes r z h.

Source: ONNX Operators.md; PaddlePaddle 2.6.2 paddle/phi/kernels/cpu/rnn_kernel.cc.
"""

USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


def _refused(step: Step, kind: str) -> str:
    """Why a layer is none that Paddle has; else the mode of its op."""
    directions = 2 if step.attrs.get("direction", "forward") == "bidirectional" else 1
    given = [a.decode() if isinstance(a, bytes) else str(a) for a in step.attrs.get("activations", [])]
    mode = kind
    if kind == "RNN":
        mode = "RNN_RELU" if given and all(a == "Relu" for a in given) else "RNN_TANH"
        given = [] if mode == "RNN_RELU" else given
    if given and given != USUAL[kind] * directions:
        raise Untranslatable(f"activations {given}, and Paddle has {USUAL[kind]}")
    if "clip" in step.attrs or step.attrs.get("input_forget", 0):
        raise Untranslatable("clip or input_forget, which Paddle does not have")
    if kind == "GRU" and not step.attrs.get("linear_before_reset", 0):
        raise Untranslatable("linear_before_reset = 0, and Paddle computes with 1, as PyTorch does")
    if kind == "LSTM" and step.has(7) and np.any(step.fixed(7, "its peephole weights")):
        raise Untranslatable("peephole weights, which Paddle does not have")
    if step.has(4):
        lengths = step.fixed(4, "the sequences' lengths")
        if np.any(lengths != step.dims(0)[1 if step.attrs.get("layout", 0) else 0]):
            raise Untranslatable("sequences of several lengths")
    return mode


def _layer(kind: str) -> Translation:
    def translation(step: Step) -> tuple[str, ...]:
        mode = _refused(step, kind)
        direction = step.attrs.get("direction", "forward")
        x = step.x(0)
        batch_first = bool(step.attrs.get("layout", 0))
        if batch_first:
            x = step.spell.transpose(x, [1, 0, 2])
        if direction == "reverse":
            x = _flipped(step, x)
        weights, count, hidden = _weights(step, kind)
        states = [_state(step, index, x, count, hidden, batch_first) for index in ((5, 6) if kind == "LSTM" else (5,))]
        out, ends = _written(step, x, states, weights, mode)
        if direction == "reverse":
            out = _flipped(step, out)
        time, batch = step.dims_of(x)[:2]
        if count == 1:
            y = step.spell.unsqueeze(out, [1])
        else:
            y = step.reshaped(out, [0, 0, 2, hidden], [time, batch, 2, hidden])
            y = step.spell.transpose(y, [0, 2, 1, 3])
        if batch_first:
            y = step.spell.transpose(y, [2, 0, 1, 3])
            ends = [step.spell.transpose(end, [1, 0, 2]) for end in ends]
        return (y, *ends)

    return translation


def _flipped(step: Step, x: str) -> str:
    return step.spell.add("flip", {"X": x}, axis=[0])


def _weights(step: Step, kind: str) -> tuple[list[str], int, int]:
    """Weights of all directions in Paddle's order of gates and of lists, their count, and the size of the state."""
    inner, outer = step.fixed(1, "its weights"), step.fixed(2, "its weights")
    count, hidden, gates = int(inner.shape[0]), int(outer.shape[2]), GATES[kind]
    bias = step.fixed(3, "its bias") if step.has(3) else np.zeros((count, 2 * len(gates) * hidden), np.float32)
    if inner.shape[1] != len(gates) * hidden or bias.shape != (count, 2 * len(gates) * hidden) or count > 2:
        raise Untranslatable(f"weights of dims {list(inner.shape)} and a bias of {list(bias.shape)}")

    def ordered(array: Array) -> Array:
        parts = np.split(array, len(gates), axis=0)
        return np.ascontiguousarray(np.concatenate([parts[k] for k in gates], axis=0))

    names, biases = [], []
    for k in range(count):
        names += [step.weight(1, ordered(inner[k])), step.weight(2, ordered(outer[k]))]
        halves = np.split(bias[k], 2)
        biases += [step.constant(ordered(half), "bias") for half in halves]
    return [*names, *biases], count, hidden


def _state(step: Step, index: int, x: str, count: int, hidden: int, batch_first: bool) -> str:
    """The state before the first step: what the file gives, else zeros."""
    if step.has(index):
        state = step.x(index)
        return step.spell.transpose(state, [1, 0, 2]) if batch_first else state
    batch = step.dims_of(x)[1]
    if batch > 0:
        return step.constant(np.zeros((count, batch, hidden), np.float32), "state")
    symbol = step.symbols(0)[0 if batch_first else 1]
    made = step.filled([count, symbol, hidden], 0.0, "float32")
    assert made is not None  # the input itself has that size
    return made


def _written(step: Step, x: str, states: list[str], weights: list[str], mode: str) -> tuple[str, list[str]]:
    spell = step.spell
    count, hidden = int(step.fixed(2, "its weights").shape[0]), int(step.fixed(2, "its weights").shape[2])
    time, batch, size = step.dims_of(x)
    out, reserve, dropout = (spell.editor.fresh(hint) for hint in ("rnn", "rnn_reserve", "rnn_dropout"))
    spell.editor.declare(out, [time, batch, count * hidden])
    spell.editor.declare(reserve, [0], "uint8")
    spell.editor.declare(dropout, [0], "uint8")  # opt asks for it, though nothing is dropped
    ends = []
    for _ in states:
        ends.append(spell.editor.fresh("rnn_state"))
        spell.editor.declare(ends[-1], [count, batch, hidden])
    spell.ops.append(
        spell.write(
            "rnn",
            {"Input": x, "PreState": states, "WeightList": weights},
            {"Out": out, "State": ends, "Reserve": reserve, "DropoutState": dropout},
            dropout_prob=0.0,
            is_bidirec=count == 2,
            input_size=int(size),
            hidden_size=hidden,
            num_layers=1,
            mode=mode,
            seed=0,
            is_test=True,
        )
    )
    return out, ends


TABLE: Mapping[str, Translation] = {kind: _layer(kind) for kind in GATES}
