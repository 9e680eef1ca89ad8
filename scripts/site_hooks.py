"""What makes a site of the repository's pages (mkdocs.yml): READMEs become pages, links out of docs/ become names.

The pages stay as a reader of the repository needs them: links to the code and to the READMEs are relative there. On the
site a link to a page leads to the page, and a link to any other file of the repository, which the site does not hold,
is its text with the file's name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "README.zh-CN.md": "zh-CN/start.md"}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCED = re.compile(r"(```.*?```)", re.S)


def github_slug(heading: str, separator: str) -> str:
    """The anchor that GitHub gives a heading, so that a link is right in both places."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", separator)


def on_config(config: Any) -> Any:
    """Headings get the anchors that links in the repository use."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = github_slug
    return config


def on_files(files: Any, config: Any) -> Any:
    """The two READMEs, as pages."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with links that lead within the site."""
    own = page.file.src_uri
    source = ROOT / {page: name for name, page in PAGES.items()}.get(own, f"docs/{own}")
    parts = FENCED.split(markdown)
    moved = (part if i % 2 else LINK.sub(lambda found: _link(found, own, source), part) for i, part in enumerate(parts))
    return "".join(moved)


def _link(found: re.Match[str], own: str, source: Path) -> str:
    mark, text, link = found.groups()
    name, hash_, anchor = link.partition("#")
    if not name or ":" in name:
        return found[0]
    file = Path(os.path.normpath(source.parent / name))
    relative = file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else ""
    inside = PAGES.get(relative, relative.removeprefix("docs/") if relative.startswith("docs/") else "")
    if inside:
        return f"{mark}[{text}]({os.path.relpath(inside, Path(own).parent)}{hash_}{anchor})"
    if not file.exists():
        return found[0]  # mkdocs says that it leads nowhere
    return text if relative in text or not relative else f"{text} (`{relative}`)"
