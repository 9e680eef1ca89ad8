"""The names of metrics and the options behind them, `kind:option:key=value`. Light: no NumPy behind them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgeflow.core.errors import DataError, near

METRIC_NAMES = (
    "top1",
    "top5",
    "accuracy",
    "token_accuracy",
    "pixel_accuracy",
    "f1",
    "miou",
    "dice",
    "map",
    "hmean",
    "nme",
    "pck:0.2",
    "recall@1",
    "spearman",
    "cer",
    "sequence_accuracy",
)
"""Built-in metrics that a name alone asks for; beside them `wer:ID`, `entity_f1:tags=…`, and options of each."""

ID = r"\d{1,9}"
IDS = rf"{ID}(,{ID}){{0,255}}"
TAG = r"[^\s,:=]{1,64}"
CLASSES = {"ignore": IDS, "threshold": r"-?\d{1,9}(\.\d{1,9})?"}
MEAN = {**CLASSES, "without": IDS}
TEXT = {"blank": rf"last|{ID}", "time": "first"}
PAIR = r"\d{1,5}-\d{1,5}"

OPTIONS: dict[str, dict[str, str]] = {
    "top1": {},
    "top5": {},
    "accuracy": CLASSES,
    "token_accuracy": CLASSES,
    "pixel_accuracy": CLASSES,
    "f1": {**MEAN, "of": ID},
    "miou": MEAN,
    "dice": MEAN,
    "map": {"": "50|75|voc07|voc12"},
    "hmean": {},
    "nme": {"": f"box|{PAIR}"},
    "pck": {"": r"(0|1|2)?\.?\d{1,6}", "by": f"box|{PAIR}"},
    "recall": {"@": r"[1-9]\d{0,3}"},
    "spearman": {},
    "cer": TEXT,
    "sequence_accuracy": TEXT,
    "wer": {"": ID, **TEXT},
    "entity_f1": {"tags": rf"{TAG}(,{TAG}){{0,4095}}"},
}
"""What each kind takes: the option without a key, then those with one, each as a pattern."""

MUST = {"wer": ("", "95"), "pck": ("", "0.2"), "recall": ("@", "5"), "entity_f1": ("tags", "O,B-PER,I-PER")}
"""Options that have to be there, and an example."""

SAID = {
    "map": "map, map:50, map:75, map:voc07 or map:voc12",
    "nme": "nme, nme:box, or nme:A-B, the landmarks whose distance is 1",
    "pck": "pck:SHARE, or pck:SHARE:by=A-B",
    "recall": "recall@K",
    "wer": "wer:ID, the class that is the space, with :blank=last, :blank=ID or :time=first behind it where it is so",
    "cer": "cer, with :blank=last or :blank=ID behind it where the blank is not class 0, and :time=first",
    "entity_f1": "entity_f1:tags=O,B-PER,I-PER,…: the tag of each class in order",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A kind of metric and its options by key; the one without a key is under the empty text."""

    kind: str
    options: Mapping[str, str]

    def numbers(self, key: str) -> tuple[int, ...]:
        return tuple(int(value) for value in self.options[key].split(",")) if key in self.options else ()


def kind_of(name: str) -> str:
    """The kind alone, `map` of `map:voc07`; empty where it is none of these, such as a function of a recipe."""
    kind = re.split("[:@]", name, maxsplit=1)[0]
    return kind if kind in OPTIONS and ".py:" not in name else ""


def asked(name: str) -> Asked | None:
    """A metric's name taken apart; None where its kind is none of these.

    Raises:
        DataError: an option is none of this metric, or misses.
    """
    kind = kind_of(name)
    if not kind:
        return None
    options: dict[str, str] = {}
    rest = name[len(kind) :]
    if rest.startswith("@"):
        options["@"], _, rest = rest[1:].partition(":")
        rest = f":{rest}" if rest else ""
    for part in rest.split(":")[1:]:
        key, equals, value = part.partition("=")
        if not equals:
            key, value = "", part
        if key in options:
            raise _wrong(name, kind)
        options[key] = value
    known = OPTIONS[kind]
    fits = all(key in known and re.fullmatch(known[key], value) for key, value in options.items())
    if not fits or (kind in MUST and MUST[kind][0] not in options):
        raise _wrong(name, kind)
    return Asked(kind, options)


def spelled(name: str, keys: Mapping[str, str]) -> str:
    """A name with options from the keys of a table behind it.

    Raises:
        DataError: the metric takes no such option, or the name has it already.
    """
    for key, value in keys.items():
        kind = kind_of(name)
        if kind and key not in OPTIONS[kind]:
            takes = ", ".join(option for option in OPTIONS[kind] if len(option) > 1) or "none"
            raise DataError(
                f"metric {name}: takes no {key}; the keys that it takes: {takes}",
                try_=f"leave {key} out, or {near(key, OPTIONS[kind], 'keys')}",
            )
        if not kind:
            raise DataError(f"metric {name}: a function of your own takes no {key}", try_=f"leave {key} out")
        name += f":{key}={value}"
    asked(name)
    return name


def _wrong(name: str, kind: str) -> DataError:
    keys = ", ".join(f":{key}=…" for key in OPTIONS[kind] if len(key) > 1)
    example = {"": f"{kind}:{MUST[kind][1]}", "@": f"{kind}@{MUST[kind][1]}"} if kind in MUST else {}
    shown = example.get(MUST[kind][0], f"{kind}:{MUST[kind][0]}={MUST[kind][1]}") if kind in MUST else kind
    said = SAID.get(kind) or (f"{kind}, with {keys} behind it" if keys else f"{kind} alone")
    return DataError(f"metric {name[:200]!r}: should be {said}", try_=f'name = "{shown}"')
