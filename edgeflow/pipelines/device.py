"""Pages through a pipeline on a device: files and pictures are sent, and the program that ships reads them there."""

from __future__ import annotations

import io
import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow import nb
from edgeflow.core.errors import TransportError
from edgeflow.core.strict import strict
from edgeflow.core.text_crop import cut_out
from edgeflow.deploy.called import Call, called, json_line
from edgeflow.deploy.device import TRIES, Device, connect
from edgeflow.deploy.device_facts import probe, validate_room, what_fits, why_not
from edgeflow.deploy.remote import fits, named
from edgeflow.deploy.runners import Where, programs_to_run
from edgeflow.deploy.runtime import RuntimeFolder
from edgeflow.files.temporary import scratch
from edgeflow.ingest.page_lists import Page
from edgeflow.ingest.pictures import load_picture
from edgeflow.pipelines.bundle import Bundle
from edgeflow.pipelines.deploy import ENTRY, pipeline_bundle
from edgeflow.pipelines.reading import Line, corners
from edgeflow.pipelines.runs import PageRead
from edgeflow.project.places import MANIFEST, PIPELINE

CHUNK = 8
"""Pages a call: what a page says takes some 10 KB, and of one call half a megabyte is read."""

LINES_MAX = 64
"""The same of single lines, where no detector finds them."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line as the program prints it."""

    text: str
    score: float
    box: tuple[tuple[float, ...], ...]
    box_score: float
    turned: bool


def read_on_device(
    folder: Path, bundle: Bundle, pages: Sequence[Page], where: Where, say: Callable[[int, int], None]
) -> tuple[list[PageRead], str]:
    """What a device reads on pages, and its name. Without a detector it is sent the labelled lines, cut out here.

    Args:
        folder: of the built pipeline.

    Raises:
        DataError: there are no programs for it; NbError: a file does not fit their library.
        TransportError: the device cannot be reached, or its program died or wrote something else than it should.
    """
    programs = programs_to_run(bundle.files[0].path, where)
    for file in bundle.files:
        fits(nb.read(file.path), file.path, programs)
    whole = bundle.rules.detector is not None
    with Device(connect(where.on, programs.machine), say=where.say) as device, scratch() as work:
        facts = probe(device)
        if reason := why_not(facts, programs.abi):
            raise TransportError(f"{device.name}: wrong architecture: {reason}", try_=what_fits(facts))
        sent = _needed(folder, programs)
        validate_room(device, facts, sum(map(len, sent.values())))
        _lay(device, sent, work)
        found = []
        step = CHUNK if whole else max(1, LINES_MAX // max([1, *(len(page.counted) for page in pages)]))
        for k in range(0, len(pages), step):
            found += _read(device, bundle, pages[k : k + step], where.limit_s, programs, work)
            say(min(k + step, len(pages)), len(pages))
        return found, named(device.name, facts)


def _needed(folder: Path, programs: RuntimeFolder) -> dict[str, bytes]:
    """Of what would be deployed that which reading pages takes."""
    files = pipeline_bundle(folder, programs).files
    program = f"bin/{ENTRY.program}"
    return {
        name: data
        for name, data in files.items()
        if name in (program, PIPELINE)
        or not (name.startswith(("bin/", "golden/")) or "/golden/" in name or name.endswith((MANIFEST, ".sh")))
    }


def _lay(device: Device, files: dict[str, bytes], work: Path) -> None:
    """Files in their folders, below `pipeline` in the device's own folder."""
    paths = {}
    for k, (name, data) in enumerate(sorted(files.items())):
        paths[name] = work / f"file_{k}"
        paths[name].write_bytes(data)
    places = dict(zip(paths, device.put(list(paths.values())), strict=True))
    root = f"{device.folder}/pipeline"
    folders = sorted({f"{root}/{Path(name).parent}" for name in files})
    copies = [
        f"{{ ln {shlex.quote(at)} {shlex.quote(f'{root}/{name}')} 2>/dev/null || "
        f"cp {shlex.quote(at)} {shlex.quote(f'{root}/{name}')}; }}"
        for name, at in places.items()
    ]
    made = device.shell(" && ".join([f"mkdir -p {' '.join(map(shlex.quote, folders))}", *copies]), tries=TRIES)
    device.succeeded(made, "the pipeline's folder")


def _read(
    device: Device, bundle: Bundle, pages: Sequence[Page], limit_s: float, programs: RuntimeFolder, work: Path
) -> list[PageRead]:
    """One call of the program on a folder of pictures."""
    whole = bundle.rules.detector is not None
    pictures = [[page.file.read_bytes()] if whole else _lines(page, upright=bundle.upright) for page in pages]
    names = [
        [f"{k}_{n}{page.file.suffix.lower() if whole else '.png'}" for n in range(len(some))]
        for k, (page, some) in enumerate(zip(pages, pictures, strict=True))
    ]
    paths = []
    for name, data in zip(chain(*names), chain(*pictures), strict=True):
        paths.append(work / name)
        paths[-1].write_bytes(data)
    if not paths:
        return [PageRead() for _ in pages]
    root, at, places = f"{device.folder}/pipeline", f"{device.folder}/pages", device.put(paths)
    moved = "; ".join(f"{{ ln {p} {a}/ 2>/dev/null || cp {p} {a}/; }}" for p, a in _quoted(places, at))
    before = f"rm -rf {shlex.quote(at)} && mkdir {shlex.quote(at)} && {{ {moved}; }}"
    libraries = tuple(f"{root}/{name}" for name in programs.files if name.startswith("lib/"))
    named_there = (ENTRY.option, f"{root}/{PIPELINE}", "--cache-dir", f"{device.folder}/cache")
    words = (f"{root}/bin/{ENTRY.program}", *named_there, at, "--json")
    said = called(device, Call(words, libraries, limit_s, before=before), programs.target)
    device.drop([*places, at])
    by_name = _said(json_line(said, f"{device.name}: {ENTRY.program}"), device.name)
    for name in chain(*names):
        if name not in by_name:
            raise TransportError(f"{device.name}: {ENTRY.program}: says nothing of one of {len(paths)} pictures")
    if whole:
        return [PageRead(tuple(by_name[own[0]])) for own in names]
    return [
        PageRead(
            tuple(
                replace(line, box=corners(label.box))
                for name, label in zip(own, page.counted, strict=True)
                for line in by_name[name][:1]
            ),
            tuple(by_name[name][0].text if by_name[name] else "" for name in own),
        )
        for own, page in zip(names, pages, strict=True)
    ]


def _quoted(places: Sequence[str], folder: str) -> list[tuple[str, str]]:
    return [(shlex.quote(place), shlex.quote(folder)) for place in places]


def _lines(page: Page, *, upright: bool) -> list[bytes]:
    """The labelled lines of a page as PNG."""
    from PIL import Image

    pixels = load_picture(page.file, upright=upright)
    found = []
    for line in page.counted:
        stream = io.BytesIO()
        Image.fromarray(cut_out(pixels, np.asarray(corners(line.box), np.float64))).save(stream, "PNG")
        found.append(stream.getvalue())
    return found


def _said(table: dict[str, Any], device: str) -> dict[str, list[Line]]:
    """Lines by the picture's name, as the program printed them; held to what they can be."""
    where = f"{device}: {ENTRY.program}"
    pictures = table.get("pictures")
    if not isinstance(pictures, list):
        raise TransportError(f"{where}: its JSON has no list of pictures", try_="programs of this edgeflow's own")
    found = {}
    for item in pictures:
        if not isinstance(item, dict) or not isinstance(item.get("lines"), list):
            raise TransportError(f"{where}: a picture was not read ({str(item)[:120]!r})")
        found[str(item.get("picture"))] = [
            _line(strict(_Line, line, where, TransportError), where) for line in item["lines"]
        ]
    return found


def _line(said: _Line, where: str) -> Line:
    numbers = [said.score, said.box_score, *(value for corner in said.box for value in corner)]
    if len(said.box) != 4 or any(len(corner) != 2 for corner in said.box) or not all(map(math.isfinite, numbers)):
        raise TransportError(f"{where}: tells of a line that has no four corners, or of no numbers")
    return Line(said.box, said.box_score, said.text, said.score, said.turned)
