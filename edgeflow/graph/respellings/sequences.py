"""Recurrent layers: vanilla cells step by step, and the final states of bidirectional ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeflow.graph.edit import Editor, Speller, attr_of, copy_attributes, set_attr
from edgeflow.graph.program import input_of, inputs_of, outputs_of
from edgeflow.graph.respellings.rule import Rule, replaced

STEPS_MAX = 256
"""Longest sequence that is unrolled: each step adds five ops to the file."""

LAST = 2**31 - 1
CELLS = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}


def _rnn(editor: Editor, op: Any) -> bool:
    if inputs_of(op, "SequenceLength"):
        return False
    return _unrolled(editor, op) if attr_of(op, "mode", "") in CELLS else _own_states(editor, op)


def _weights(op: Any, layer: int) -> list[str]:
    """Of one layer and direction: two weights, then two biases.

    Paddle lists the weights of all, then the biases of all (python/paddle/nn/layer/rnn.py RNNBase, 2.6).
    """
    names = inputs_of(op, "WeightList")
    half = len(names) // 2
    return [*names[2 * layer : 2 * layer + 2], *names[half + 2 * layer : half + 2 * layer + 2]]


def _unrolled(editor: Editor, op: Any) -> bool:
    """h = act(x W_ih' + b_ih + h W_hh' + b_hh), a few ops for every step."""
    x, start = input_of(op, "Input"), input_of(op, "PreState")
    dims, hidden = editor.dims(x) or (), int(attr_of(op, "hidden_size", 0))
    directions, layers = 1 + bool(attr_of(op, "is_bidirec", False)), int(attr_of(op, "num_layers", 1))
    if len(dims) != 3 or not 0 < dims[0] <= STEPS_MAX or len(inputs_of(op, "WeightList")) != 4 * directions * layers:
        return False
    steps, batch, _ = dims
    s = Speller(editor)
    states = []
    for layer in range(layers):
        sides = []
        for direction in range(directions):
            number = layer * directions + direction
            given = [editor.constant(name) for name in _weights(op, number)]
            if any(array is None for array in given):
                return False
            w_in, w_own, b_in, b_own = (np.asarray(array) for array in given)
            seen = s.matmul(s.reshape(x, [-1, w_in.shape[1]]), s.values(w_in.T.copy()), dims=[-1, hidden])
            seen = s.reshape(s.binary("add", seen, s.values(b_in + b_own)), [steps, batch, hidden])
            own, state = s.values(w_own.T.copy()), s.squeeze(s.slice(start, 0, number, number + 1), [0])
            found: list[str] = [""] * steps
            for k in reversed(range(steps)) if direction else range(steps):
                moment = s.squeeze(s.slice(seen, 0, k, k + 1), [0])
                total = s.binary("add", moment, s.matmul(state, own, dims=[batch, hidden]))
                state = s.unary(CELLS[attr_of(op, "mode", "")], total)
                found[k] = s.unsqueeze(state, [0])
            states.append(found[0 if direction else -1])
            sides.append(s.concat(found, 0) if steps > 1 else found[0])
        x = s.concat(sides, 2) if len(sides) > 1 else sides[0]
    return _finish(editor, op, s, x, [s.concat(states, 0) if len(states) > 1 else states[0]])


def _own_states(editor: Editor, op: Any) -> bool:
    """Layer by layer, each final state from the layer's outputs: the last of one direction, the first of the other."""
    x, pre = input_of(op, "Input"), list(inputs_of(op, "PreState"))
    dims, hidden, layers = editor.dims(x) or (), int(attr_of(op, "hidden_size", 0)), int(attr_of(op, "num_layers", 1))
    if len(dims) != 3 or hidden < 1 or len(inputs_of(op, "WeightList")) != 8 * layers:
        return False
    s = Speller(editor)
    states: list[list[str]] = [[] for _ in pre]
    for layer in range(layers):
        sides = [_weights(op, 2 * layer), _weights(op, 2 * layer + 1)]
        names = [*sides[0][:2], *sides[1][:2], *sides[0][2:], *sides[1][2:]]
        starts = pre if layers == 1 else [s.slice(name, 0, 2 * layer, 2 * layer + 2) for name in pre]
        made = {key: editor.fresh(f"rnn_{key}") for key in ("Out", "DropoutState", "Reserve", "h", "c")}
        editor.declare(made["Out"], (*dims[:2], 2 * hidden))
        for key in ("h", "c"):
            editor.declare(made[key], (2, dims[1], hidden))
        editor.declare(made["DropoutState"], (1,), "uint8")
        editor.declare(made["Reserve"], (1,))
        one = s.write(
            "rnn",
            {"Input": x, "PreState": starts, "WeightList": names},
            {
                "Out": made["Out"],
                "State": [made[key] for key in ("h", "c")[: len(pre)]],
                "DropoutState": made["DropoutState"],
                "Reserve": made["Reserve"],
            },
        )
        copy_attributes(op, one)
        set_attr(one, "num_layers", 1)
        set_attr(one, "input_size", int((editor.dims(x) or dims)[-1]))
        s.ops.append(one)
        x = made["Out"]
        last = s.add(
            "slice",
            {"Input": x},
            dims=[1, dims[1], 2 * hidden],
            axes=[0],
            starts=[-1],
            ends=[LAST],
            decrease_axis=[],
            infer_flags=[1],
        )
        states[0] += [s.slice(last, 2, 0, hidden), s.slice(s.slice(x, 0, 0, 1), 2, hidden, 2 * hidden)]
        if len(pre) > 1:
            states[1].append(made["c"])
    return _finish(editor, op, s, x, [s.concat(parts, 0) if len(parts) > 1 else parts[0] for parts in states])


def _finish(editor: Editor, op: Any, s: Speller, out: str, states: list[str]) -> bool:
    """Give the results the names that the op's had."""
    for made, name in zip([out, *states], [*outputs_of(op, "Out"), *outputs_of(op, "State")], strict=True):
        s.ops.append(s.write("assign", {"X": made}, {"Out": name}))
    return replaced(editor, op, s.ops)


TABLE: dict[str, Rule] = {"rnn": _rnn}
