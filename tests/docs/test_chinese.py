"""The Chinese pages are held to the English ones, block by block: a page that drifted is named with its heading.

What is compared is what a translation keeps: levels and order of headings, paragraphs, list items, tables with rows and columns, code (its
comments may be in Chinese), inline code, figures and where links lead. Number words are written with Chinese numerals, so that digits are
the same on both sides.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

CHINESE = ROOT / "docs" / "zh-CN"
PAGES = {"README.md": ROOT / "README.zh-CN.md"} | {
    f"docs/{page.relative_to(CHINESE)}": page for page in sorted(CHINESE.rglob("*.md")) if page != CHINESE / "README.md"
}
SWITCH = re.compile(r"^\[(中文说明|English)\]\([^)]*\).*\n", re.M)  # the line that leads to the other language
COMMENT = re.compile(r"(?:^|\s+)# (.*)$")
FIGURE = re.compile(r"\d+(?:[.,]\d+)*(?:e[-−]?\d+)?|[⁰¹²³⁴-⁹]+")
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One block of a page: `heading` is the one it stands under, `kind` a word, `text` its Markdown."""

    heading: str
    kind: str
    text: str


def blocks(text: str) -> list[Block]:
    """The page as headings, code, table rows, list items and paragraphs, in order."""
    found: list[Block] = []
    heading, code = "the top of the page", ""
    previous = ""
    for line in SWITCH.sub("", text).splitlines():
        if code or line.startswith("```"):
            code += line + "\n"
            if line.startswith("```") and code.count("\n") > 1:
                found.append(Block(heading, "code", code))
                code = ""
        elif title := re.match(r"(#+) (.*)", line):
            heading = title[2]
            found.append(Block(heading, f"heading of level {len(title[1])}", title[2]))
        elif line.startswith("    ") and previous in ("", "indented"):
            found.append(Block(heading, "code", line))
            previous = "indented"
            continue
        elif line.startswith("|"):
            found.append(Block(heading, f"table row of {len(re.split(r'(?<!`)[|](?!`)', line)) - 2} columns", line))
        elif line.strip() and (
            re.match(r"(-|\d+\.) ", line) or not previous or found[-1].kind not in ("paragraph", "list item")
        ):
            found.append(Block(heading, "list item" if re.match(r"(-|\d+\.) ", line) else "paragraph", line))
        elif line.strip():
            found[-1] = Block(heading, found[-1].kind, f"{found[-1].text} {line.strip()}")
        previous = "" if not line.strip() else "text"
    return found


def kept(block: Block) -> dict[str, object]:
    """What a translation of the block has to leave as it is."""
    if block.kind == "code":
        comments = [" ".join(COMMENT.findall(line)) for line in block.text.splitlines()]
        return {
            "code": "\n".join(COMMENT.sub("", line).rstrip() for line in block.text.splitlines()),
            "figures in comments": [sorted(FIGURE.findall(comment)) for comment in comments],
            "commented lines": [bool(comment) for comment in comments],
        }
    plain = re.sub(r"`[^`]*`", " ", LINK.sub("] ", block.text))
    return {
        "inline code": Counter(re.findall(r"`([^`]*)`", block.text)),
        "figures": Counter(FIGURE.findall(plain)),
        "bare addresses": Counter(re.findall(r"<(http[^>]*)>", block.text)),
    }


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def anchors(text: str) -> list[str]:
    return [slug(block.text) for block in blocks(text) if block.kind.startswith("heading")]


def target(page: Path, link: str) -> tuple[str, int]:
    """Where a link leads: the English file of the project, and the number of its heading (-1: the whole page)."""
    if link.startswith("https://"):
        return link, -1
    name, _, anchor = link.partition("#")
    path = (page.parent / name).resolve() if name else page
    number = -1
    if anchor:
        there = anchors(path.read_text(encoding="utf-8"))
        assert anchor in there, f"{page.name}: {link} leads to no heading of {there}"
        number = there.index(anchor)
    english = {chinese: ROOT / name for name, chinese in PAGES.items()}
    return str(english.get(path, path).relative_to(ROOT)), number


def drift(english: str, chinese: str) -> list[str]:
    """What a Chinese page has otherwise than the English one, each with the heading; ends at the first block of another kind."""
    found = []
    ours, theirs = blocks(english), blocks(chinese)
    end = Block("the end of the page", "end", "")
    for one, other in zip([*ours, end], [*theirs, end], strict=False):
        where = f"under '{one.heading}' ({other.heading}), at '{one.text.strip()[:60]}'"
        if one.kind != other.kind:
            return [*found, f"{where}: {other.kind} '{other.text.strip()[:40]}' should be a {one.kind}"]
        for what, value in kept(one).items():
            if kept(other)[what] != value:
                found.append(f"{where}: {what} {difference(kept(other)[what], value)}")
    return found


def difference(has: object, should: object) -> str:
    if isinstance(has, Counter) and isinstance(should, Counter):
        return f"lacks {list((should - has).elements())}, has besides {list((has - should).elements())}"
    return f"is\n{has}\nshould be\n{should}"


@pytest.mark.parametrize("name", PAGES)
def test_chinese_page_says_what_the_english_one_says(name: str) -> None:
    english, chinese = (page.read_text(encoding="utf-8") for page in (ROOT / name, PAGES[name]))
    assert not (found := drift(english, chinese)), f"{PAGES[name].name} drifted from {name}:\n" + "\n".join(found)


@pytest.mark.parametrize("name", PAGES)
def test_chinese_links_lead_where_the_english_ones_lead(name: str) -> None:
    ours, theirs = (blocks(page.read_text(encoding="utf-8")) for page in (ROOT / name, PAGES[name]))
    for one, other in zip(ours, theirs, strict=False):  # the test above says where blocks are missing
        leads = [
            sorted(target(page, link) for link in LINK.findall(block.text))
            for page, block in ((ROOT / name, one), (PAGES[name], other))
        ]
        assert leads[0] == leads[1], f"under '{one.heading}' ({other.heading})"
        for link in LINK.findall(other.text):  # a page that is there in Chinese is what a Chinese page links
            path = (PAGES[name].parent / link.partition("#")[0]).resolve()
            assert not path.is_relative_to(ROOT) or str(path.relative_to(ROOT)) not in PAGES, (link, other.heading)


def test_every_page_is_there_in_chinese_and_filled() -> None:
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md") if CHINESE not in page.parents}
    assert pages - PAGES.keys() == set()
    done = subprocess.run([sys.executable, ROOT / "scripts" / "chinese", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_pages_lead_to_the_other_language_and_the_index_to_all() -> None:
    assert "[中文说明](README.zh-CN.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    index = (CHINESE / "README.md").read_text(encoding="utf-8")
    for name, page in PAGES.items():
        back = os.path.relpath(ROOT / name, page.parent)
        assert f"[English]({back})" in page.read_text(encoding="utf-8")
        assert name == "README.md" or f"]({page.relative_to(CHINESE)})" in index
    assert all((CHINESE / link.partition("#")[0]).exists() for link in LINK.findall(index))


ENGLISH_SAMPLE = "# A\n\nTen of `x` in 3 s.\n\n## B\n\n| `k` | 4 |\n| --- | --- |\n\n```sh\ncmd --x   # do 5\n```\n"
CHINESE_SAMPLE = "# 甲\n\n`x` 共十个,3 s。\n\n## 乙\n\n| `k` | 4 |\n| --- | --- |\n\n```sh\ncmd --x  # 做 5\n```\n"


@pytest.mark.parametrize(
    ("old", "new", "heading"),
    [
        ("3 s", "2 s", "A"),
        ("`x`", "`y`", "A"),
        ("## 乙", "### 乙", "B"),
        ("| `k` | 4 |", "| `k` | 4 | |", "B"),
        ("| --- | --- |\n", "| --- | --- |\n| | |\n", "B"),
        ("cmd --x", "cmd --y", "B"),
        ("做 5", "做 6", "B"),
    ],
)
def test_drift_is_found_and_its_heading_named(old: str, new: str, heading: str) -> None:
    assert not drift(ENGLISH_SAMPLE, CHINESE_SAMPLE)
    found = drift(ENGLISH_SAMPLE, CHINESE_SAMPLE.replace(old, new))
    assert found
    assert f"under '{heading}'" in found[0]
