"""The documents as a site: strict, so that no link leads nowhere; no page asks the network; codes and pictures are those of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("mkdocs", reason="edgeflow[docs] is not installed")
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc="?(?!data:)(?:https?:)?//|<link[^>]*stylesheet[^>]*href="?(?:https?:)?//|@import"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    quiet = os.environ | {
        "NO_MKDOCS_2_WARNING": "1",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=quiet)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_no_page_of_the_site_asks_the_network(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 35
    asking = [page.name for page in pages if FETCHED.search(page.read_text(encoding="utf-8"))]
    assert asking == []


def test_every_page_is_reached_and_leads_on(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    for page in (
        "gallery.html",
        "codes.html",
        "tutorials/classify.html",
        "coming-from/rknn.html",
        "paddle-lite-today.html",
        "zh-CN/start.html",
    ):
        assert f'href="{page}"' in start, page
    assert "docs/" not in re.findall(r'href="([^"#:]*)"', start)
    codes = (site / "codes.html").read_text(encoding="utf-8")
    assert 'id="p101"' in codes and 'id="nb101"' in codes


def test_links_out_of_the_documents_become_names(site: Path) -> None:
    report = (site / "report.html").read_text(encoding="utf-8")
    assert "edgeflow/report/report.schema.json" in report
    assert 'href="../edgeflow' not in report


def test_a_code_has_its_section() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "codes", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_pictures_are_small_and_used() -> None:
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    pictures = sorted((ROOT / "docs" / "pictures").iterdir())
    assert {f"pictures/{path.name}" for path in pictures} == set(re.findall(r"\]\((pictures/[^)]*)\)", text))
    assert sum(path.stat().st_size for path in pictures) < 400_000
