"""Utterances of the grammar, with synonyms, typos and noise; the test has combinations that training never saw.

`python data.py` writes vocab.txt and labels.txt anew: the same bytes at every run.
"""

import hashlib
import random
import re
from collections import Counter
from pathlib import Path

from grammar import AFTER, ALIKE, BEFORE, INTENTS, SLOTS, SYNONYMS

HERE = Path(__file__).parent
TRAINING, TEST = 24000, 4200
SEED_TRAINING, SEED_TEST = 1, 2
LABELS = tuple(INTENTS)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
HELD_OUT = 5
"""One of so many combinations of a template's choices is left to the test."""

Pair = tuple[str, int]


def spoken(template: str, rng: random.Random) -> str:
    """A template with one choice for each bracket, and a word for each slot."""

    def word(found: re.Match[str]) -> str:
        if found[1] == "number":
            return str(rng.randint(10**7, 10**9))
        return rng.choice(SLOTS[found[1]])

    text = re.sub(r"\[([^]]*)\]", lambda found: rng.choice(found[1].split("|")), template)
    return re.sub(r"\{(\w+)\}", word, text)


def held_out(text: str) -> bool:
    """The combination is the test's; numbers, which nobody remembers, do not count."""
    key = re.sub(r"\d{8,}", "#", text)
    return hashlib.sha256(key.encode()).digest()[0] % HELD_OUT == 0


def disturbed(text: str, rng: random.Random) -> str:
    """With synonyms, courtesies, and in a third of all a typo."""
    for word, others in SYNONYMS.items():
        if word in text and rng.random() < 0.3:
            text = text.replace(word, rng.choice(others), 1)
    if rng.random() < 0.35 and len(text) > 4:
        at = rng.randrange(len(text) - 1)
        kind = rng.randrange(4)
        if kind == 0:
            text = text[:at] + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + text[at] + text[at:]
        elif kind == 2:
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        else:
            text = "".join(ALIKE.get(letter, letter) if rng.random() < 0.3 else letter for letter in text)
    if rng.random() < 0.05:
        text = text.upper() if rng.random() < 0.5 else text.replace(" ", "\u3000")
    return rng.choice(BEFORE) + text + rng.choice(AFTER)


def utterances(count: int, seed: int, *, test: bool, intents: tuple[str, ...] = LABELS) -> list[Pair]:
    """Different utterances with the numbers of their intents, as many of each intent."""
    rng = random.Random(seed)
    found: dict[str, int] = {}
    number = 0
    while len(found) < count:
        intent = intents[number % len(intents)]
        clean = spoken(rng.choice(INTENTS[intent]), rng)
        if held_out(clean) == test:
            text = disturbed(clean, rng)
            if text not in found:
                found[text] = LABELS.index(intent)
                number += 1
    pairs = list(found.items())
    rng.shuffle(pairs)
    return pairs


def training() -> list[Pair]:
    """What the network learns from."""
    return utterances(TRAINING, SEED_TRAINING, test=False)


def test() -> list[Pair]:
    """What it never saw, neither the combination nor, by a typo, the same letters."""
    seen = {text for text, _ in training()}
    pairs = [pair for pair in utterances(TEST + 100, SEED_TEST, test=True) if pair[0] not in seen]
    return pairs[:TEST]


def calibration() -> dict[str, list[str]]:
    """Utterances that set the quantisation ranges: of the training part only."""
    return {"input_ids": [text for text, _ in utterances(512, SEED_TRAINING, test=False)]}


def evaluation() -> dict[str, list[str] | list[int]]:
    """The test, as a build takes it."""
    pairs = test()
    return {"input_ids": [text for text, _ in pairs], "label": [label for _, label in pairs]}


def short() -> dict[str, list[str] | list[int]]:
    """Those of the test that short.toml takes: a letter is a token or less, and two stand around them."""
    pairs = [pair for pair in test() if len(pair[0]) <= 14]
    return {"input_ids": [text for text, _ in pairs], "label": [label for _, label in pairs]}


def vocabulary(pairs: list[Pair]) -> list[str]:
    """Special tokens, the ideographs and marks that occur, and letters and digits as beginnings and pieces of words."""
    counts = Counter(letter for text, _ in pairs for letter in text.lower() if not letter.isspace())
    plain = [letter for letter, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count > 2]
    latin = [letter for letter in plain if letter.isascii() and letter.isalnum()]
    return [*SPECIAL, *plain, *(f"##{letter}" for letter in latin)]


if __name__ == "__main__":
    (HERE / "vocab.txt").write_text("\n".join(vocabulary(training())) + "\n", encoding="utf-8")
    (HERE / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
