"""Target profiles: one TOML a target, data only, every key known."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from edgeflow.core.errors import RecipeError, TargetError, near
from edgeflow.core.settings import DriftLimits
from edgeflow.core.strict import strict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Precision = Literal["float32", "float16", "int8"]
NPU_ARITHMETICS = ("float32", "float16", "uint8", "int8")
"""How the emulator can compute what an NPU takes over."""

TOML_MAX_BYTES = 1 << 20

ANY_NPU = "android_nnapi"
"""Android's way to whatever NPU a phone has: chosen by its own name, not by a chip's."""


@dataclass(frozen=True, slots=True)
class Lite:
    """What opt is told. `valid_targets` is Paddle's own word.

    `npu_ops`: those op types of the NPU's place that the device computes, where it is not all that opt would give it.
    """

    valid_targets: str
    fp16: bool = False
    npu_ops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrecisionRules:
    """Which arithmetic the target takes; `refused` gives the reason for what it does not.

    `full_integer`: the driver stops at any tensor of a subgraph that has no scale.
    """

    default: Precision
    allowed: tuple[Precision, ...]
    weights: Literal["per_channel", "per_layer"] = "per_channel"
    scales: Literal["any", "power_of_two"] = "any"
    full_integer: bool = False
    npu_arithmetic: Literal["float32", "float16", "uint8", "int8"] = "float32"
    refused: Mapping[str, str] = field(default_factory=dict)
    alternative: str = ""


@dataclass(frozen=True, slots=True)
class ContextProperty:
    """One thing that NNAdapter can be told. `values` are all that it may be; where there are none, `kind` says what it
    may look like: lists have commas between. `default` is what the driver takes where nothing is said.
    """

    meaning: str
    values: tuple[str, ...] = ()
    kind: Literal["word", "words", "number", "numbers", "path"] = "word"
    default: str = ""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the program on the device says to NNAdapter, and the libraries that must lie beside it.

    `context`: what the driver can be told. `told`: what of it every build for the target says, unless its recipe says
    otherwise.
    """

    devices: tuple[str, ...] = ()
    context: Mapping[str, ContextProperty] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Driver:
    """Versions of driver, firmware and vendor SDK that the documents name."""

    requires: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Restriction:
    """An op that the NPU takes only so. `source` is a path inside Paddle Lite v2.13-rc.

    What can be checked on a program: `rank_max` dimensions of its tensors, and the values an attribute may have
    (an absent attribute passes).
    """

    op: str
    rule: str
    source: str
    rank_max: int | None = None
    attrs: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """How a demo is built: the CMake preset, the prebuilt library's archive, or the command that builds one."""

    preset: Literal["host", "aarch64-linux-gnu", "armhf-linux-gnueabihf", "android-arm64", "android-armv7"]
    source: str
    library: str = ""
    build: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A device as the pipeline sees it. `name` is the stem of its file."""

    summary: str
    source: str
    lite: Lite
    precision: PrecisionRules
    drift: DriftLimits
    chips: tuple[str, ...] = ()
    static_shapes: bool = False
    abi: str = ""
    notes: tuple[str, ...] = ()
    runtime: Runtime = Runtime()
    driver: Driver | None = None
    restrictions: tuple[Restriction, ...] = ()
    toolchain: Toolchain | None = None
    name: str = ""

    @property
    def uses_npu(self) -> bool:
        """Some ops are meant for an NPU through NNAdapter."""
        return self.npu_place is not None

    @property
    def npu_arithmetic(self) -> str:
        """How the emulator computes this target's files; float32 where no NPU takes part."""
        return self.precision.npu_arithmetic if self.uses_npu else "float32"

    @property
    def npu_place(self) -> str | None:
        """The NNAdapter device that opt partitions for."""
        return next((p for p in self.lite.valid_targets.split(",") if p not in ("arm", "x86", "opencl", "host")), None)

    def choose(self, wanted: Precision | None) -> Precision:
        """The precision a build has; None takes the target's own.

        Raises:
            RecipeError: the target refuses it; says why and what to use instead.
        """
        chosen = wanted or self.precision.default
        if chosen in self.precision.allowed:
            return chosen
        reason = self.precision.refused.get(chosen, f"it takes {', '.join(self.precision.allowed)}")
        other = self.other_with(chosen)
        raise RecipeError(
            f"target {self.name!r} does not take {chosen}: {reason}",
            try_=f"--target {other}" if other else f"precision = {self.precision.default!r} under [compress]",
        )

    def other_with(self, precision: Precision) -> str:
        """A profile that takes a precision: the one named as the alternative, or one of the same toolchain."""
        named = self.precision.alternative
        if named and precision in load_target(named).precision.allowed:
            return named
        if self.toolchain is None or self.uses_npu:
            return ""
        for other in map(load_target, names()):
            same = other.toolchain is not None and other.toolchain.preset == self.toolchain.preset
            if same and not other.uses_npu and precision in other.precision.allowed:
                return other.name
        return ""


def folder() -> Path:
    """Where the profiles lie: inside an installed package, or beside it in a checkout."""
    installed = Path(__file__).parent.parent / "targets"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "targets"


@cache
def names() -> tuple[str, ...]:
    """Names of all profiles that come with edgeflow, sorted."""
    return tuple(sorted(path.stem for path in folder().glob("*.toml")))


def load_target(name: str) -> Target:
    """Load a profile by its name or by that of a chip, or a user's own by the path of a .toml.

    Raises:
        TargetError: unknown name (with the near match), or a file that breaks the schema.
    """
    if name.endswith(".toml") or "/" in name:
        return _load(Path(name))
    if name not in names():
        if (chip := unsupported(name)) is not None:
            raise TargetError(f"{chip.name} is not on this stack: {chip.reason}", try_=f"--target {chip.alternative}")
        if owner := _of_chip(name):
            return owner
        raise TargetError(f"target {name!r} is unknown; {near(name, names(), 'targets')}", try_="edgeflow targets")
    return _load(folder() / f"{name}.toml")


@dataclass(frozen=True, slots=True)
class UnsupportedChip:
    """A chip people ask for that this stack cannot drive, why, and what runs on it instead."""

    name: str
    reason: str
    alternative: str
    source: str


@cache
def unsupported_chips() -> tuple[UnsupportedChip, ...]:
    """The chips of targets/unsupported_chips.json."""
    table = json.loads((folder() / "unsupported_chips.json").read_text(encoding="utf-8"))
    return tuple(
        strict(UnsupportedChip, {**entry, "name": name}, f"unsupported_chips.json {name}", TargetError)
        for name, entry in sorted(table["chips"].items())
    )


def unsupported(name: str) -> UnsupportedChip | None:
    """The entry of a chip that is not on this stack, spelled in any case."""
    return next((chip for chip in unsupported_chips() if _plain(chip.name) == _plain(name)), None)


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _of_chip(name: str) -> Target | None:
    """The profile of a chip: of its own NPU where there is one, else of its CPU, in float.

    Raises:
        TargetError: two NPU profiles drive the chip, each by another driver.
    """
    plain = _plain(name).replace("sd", "snapdragon", 1) if _plain(name)[:3].strip("sd").isdigit() else _plain(name)
    owners = [load_target(known) for known in names()]
    owners = [target for target in owners if plain in map(_plain, target.chips)]
    npus = [target for target in owners if target.uses_npu and target.npu_place != ANY_NPU]
    if len(npus) > 1:
        raise TargetError(
            f"{name!r} is a chip that {' and '.join(f'{t.name} ({t.summary})' for t in npus)} drive",
            try_=f"--target {npus[0].name}, or {npus[1].name}",
        )
    return min(npus or owners, key=lambda target: (target.uses_npu, target.lite.valid_targets != "arm"), default=None)


def _load(path: Path) -> Target:
    table = read_toml(path, TargetError)
    base = table.pop("base", None)
    if base is not None:
        if base not in names():
            raise TargetError(f"{path}: base {base!r} is unknown; {near(str(base), names(), 'targets')}")
        table = laid_over(read_toml(folder() / f"{base}.toml", TargetError), table)
    table.pop("name", None)
    target = strict(Target, {**table, "name": path.stem}, str(path), TargetError)
    if target.precision.default not in target.precision.allowed:
        raise TargetError(
            f"{path}: precision.default is {target.precision.default!r}, and should be one of "
            f"precision.allowed: {', '.join(target.precision.allowed)}"
        )
    return target


def laid_over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Tables laid over tables, key by key."""
    merged = dict(base)
    for key, value in own.items():
        old = merged.get(key)
        merged[key] = laid_over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def read_toml(path: Path, error: type[TargetError] | Any) -> dict[str, Any]:
    """Read a TOML file of at most 1 MiB.

    Raises:
        error: the file is missing, too large, or not TOML.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(TOML_MAX_BYTES + 1)
        if len(raw) > TOML_MAX_BYTES:
            raise error(f"{path}: is larger than {TOML_MAX_BYTES} bytes, which no settings file is")
        return tomllib.loads(raw.decode("utf-8"))
    except OSError as err:
        raise error(f"{path}: cannot be read ({err.strerror})") from err
    except (ValueError, RecursionError) as err:  # no TOML, no UTF-8, or a whole number of thousands of digits
        raise error(f"{path}: is no TOML ({err})") from err
