"""A small encoder of ERNIE's architecture: word, position and segment embeddings, layers of attention, a pooled first
token. The mask and the positions are made inside the graph, as PaddleNLP exports them.

Source: Y. Sun et al., ERNIE 3.0, arXiv:2107.02137; the sizes are this example's own.
"""

from pathlib import Path

import paddle
from data import LABELS
from paddle import nn

HERE = Path(__file__).parent
WEIGHTS = HERE / "intent.pdparams"
LENGTH = 32
PAD = 0


class Encoder(nn.Layer):
    """`layers` layers of `width` for a vocabulary of `words`."""

    def __init__(self, words: int, width: int = 64, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.words, self.places, self.segments = (nn.Embedding(n, width) for n in (words, LENGTH, 2))
        self.norm, self.dropout = nn.LayerNorm(width, epsilon=1e-12), nn.Dropout(0.1)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.1, activation="gelu", act_dropout=0.0)
        self.layers = nn.TransformerEncoder(layer, layers)
        for item in self.sublayers():
            if isinstance(item, (nn.Linear, nn.Embedding)):
                item.weight.set_value(paddle.normal(0.0, 0.03, item.weight.shape))

    def forward(self, input_ids: paddle.Tensor, token_type_ids: paddle.Tensor) -> paddle.Tensor:
        """int64[N, L] twice -> float32[N, L, width]."""
        mask = (input_ids == PAD).astype("float32").unsqueeze([1, 2]) * -1e4
        ones = paddle.full_like(input_ids, 1)
        places = paddle.cumsum(ones, axis=1) - ones
        x = self.words(input_ids) + self.places(places) + self.segments(token_type_ids)
        return self.layers(self.dropout(self.norm(x)), mask)


class Intents(nn.Layer):
    """A score for each intent, from the first token."""

    def __init__(self, words: int, width: int = 64, layers: int = 4, classes: int = len(LABELS)) -> None:
        super().__init__()
        self.encoder = Encoder(words, width, layers)
        self.pooler, self.dropout = nn.Linear(width, width), nn.Dropout(0.1)
        self.score = nn.Linear(width, classes)

    def forward(self, input_ids: paddle.Tensor, token_type_ids: paddle.Tensor) -> paddle.Tensor:
        """int64[N, L] twice -> logits float32[N, classes]."""
        first = self.encoder(input_ids, token_type_ids)[:, 0]
        return self.score(self.dropout(paddle.tanh(self.pooler(first))))


def loaded() -> Intents:
    """The saved network, of the sizes that its weights have."""
    state = paddle.load(str(WEIGHTS))
    words, width = state["encoder.words.weight"].shape
    layers = 1 + max(int(name.split(".")[3]) for name in state if name.startswith("encoder.layers.layers."))
    model = Intents(words, width, layers)
    model.set_state_dict(state)
    return model


def build() -> nn.Layer:
    """The trained network; edgeflow calls this. Train it first: python train.py"""
    model = loaded()
    model.eval()
    return model
