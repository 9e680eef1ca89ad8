"""Networks of texts in small, spelled as PaddleNLP exports them, with random weights: encoders, LSTM, GRU, a tagger.

Source: PaddleNLP 2.8.1 paddlenlp/transformers/{bert,ernie,tinybert,roberta}/modeling.py and examples/text_classification/rnn,
read for which ops their exports hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paddle
from paddle import nn

WORDS, LENGTH, WIDTH, CLASSES = 50, 12, 16, 3
"""Sizes that all of them have; positions are trained for twice the length."""


class Encoder(nn.Layer):
    """Two layers of attention; `kind` says how the export makes positions, task ids and what it scores.

    bert: ones like the ids. ernie: ones of the embedding's shape, and task ids of them. tinybert: as bert, and relu
    before the scores. roberta: positions count what is no padding. tagger: as ernie, a score for each token.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        padding = None if kind == "bert" else 0
        self.words = nn.Embedding(WORDS, WIDTH, padding_idx=padding)
        self.places, self.segments = nn.Embedding(2 * LENGTH, WIDTH), nn.Embedding(2, WIDTH)
        self.tasks = nn.Embedding(3, WIDTH) if kind in ("ernie", "tagger") else None
        self.norm = nn.LayerNorm(WIDTH, epsilon=1e-12)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, dropout=0.1, activation="gelu", act_dropout=0.0)
        self.layers = nn.TransformerEncoder(layer, 2)
        self.pooler, self.score = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)
        self.dropout = nn.Dropout(0.1)

    def forward(self, input_ids: Any, token_type_ids: Any) -> Any:
        """int64[N, L] twice -> float32[N, classes], or [N, L, classes] of a tagger."""
        mask = paddle.unsqueeze((input_ids == 0).astype("float32") * -1e4, axis=[1, 2])
        words = self.words(input_ids)
        if self.kind == "roberta":
            real = (input_ids != 0).astype("int64")
            places = paddle.cumsum(real, axis=1) * real
        else:
            ones = (
                paddle.full_like(input_ids, 1)
                if self.tasks is None
                else paddle.ones(paddle.shape(words)[:-1], dtype="int64")
            )
            places = paddle.cumsum(ones, axis=1) - ones
        x = words + self.places(places) + self.segments(token_type_ids)
        if self.tasks is not None:
            x = x + self.tasks(paddle.ones(paddle.shape(words)[:-1], dtype="int64") * 2)
        x = self.layers(self.dropout(self.norm(x)), mask)
        if self.kind == "tagger":
            return self.score(self.dropout(x))
        first = paddle.tanh(self.pooler(x[:, 0]))
        return self.score(nn.functional.relu(first) if self.kind == "tinybert" else self.dropout(first))


class Recurrent(nn.Layer):
    """An LSTM or GRU over embeddings; `end` says what is scored: `last` (its final state), `max` (over time) or each
    token (`tags`).
    """

    def __init__(self, cell: Any, direction: str, end: str, layers: int = 1) -> None:
        super().__init__()
        self.words, self.end = nn.Embedding(WORDS, WIDTH, padding_idx=0), end
        self.rnn = cell(WIDTH, WIDTH, num_layers=layers, direction=direction)
        wide = WIDTH * (2 if direction == "bidirect" else 1)
        self.pooler, self.score = nn.Linear(wide, WIDTH), nn.Linear(wide if end == "tags" else WIDTH, CLASSES)

    def forward(self, input_ids: Any) -> Any:
        """int64[N, L] -> float32[N, classes], or [N, L, classes] of tags."""
        x, state = self.rnn(self.words(input_ids))
        if self.end == "tags":
            return self.score(x)
        if self.end == "last":
            hidden = state[0] if isinstance(state, tuple) else state
            x = hidden[-1] if self.rnn.num_directions == 1 else paddle.concat((hidden[-2], hidden[-1]), axis=1)
        else:
            x = paddle.max(x, axis=1)
        return self.score(paddle.tanh(self.pooler(x)))


NETS: dict[str, Callable[[], Any]] = {
    **{kind: (lambda kind=kind: Encoder(kind)) for kind in ("bert", "ernie", "tinybert", "roberta", "tagger")},
    "lstm last": lambda: Recurrent(nn.LSTM, "forward", "last"),
    "bilstm last": lambda: Recurrent(nn.LSTM, "bidirect", "last"),
    "bilstm max": lambda: Recurrent(nn.LSTM, "bidirect", "max"),
    "gru max": lambda: Recurrent(nn.GRU, "forward", "max"),
    "bigru last": lambda: Recurrent(nn.GRU, "bidirect", "last"),
    "bigru tags": lambda: Recurrent(nn.GRU, "bidirect", "tags", 2),
}
"""Name -> factory."""


def inputs_of(name: str) -> tuple[str, ...]:
    """Names of a network's inputs."""
    return ("input_ids", "token_type_ids") if NETS[name]().__class__ is Encoder else ("input_ids",)
