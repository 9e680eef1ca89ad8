"""A page taken apart, and the tags that it may hold."""

from __future__ import annotations

from html.parser import HTMLParser

ALLOWED = frozenset(
    [
        "html",
        "image",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "a",
        "header",
        "p",
        "h1",
        "h2",
        "h3",
        "span",
        "small",
        "dl",
        "div",
        "dt",
        "dd",
        "b",
        "nav",
        "ul",
        "ol",
        "li",
        "main",
        "section",
        "figure",
        "figcaption",
        "svg",
        "rect",
        "line",
        "circle",
        "details",
        "summary",
        "polyline",
        "path",
        "g",
        "text",
        "i",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "button",
        "form",
        "label",
        "input",
        "select",
        "option",
        "output",
        "code",
        "img",
        "script",
    ]
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(text: str) -> Tags:
    found = Tags()
    found.feed(text)
    found.close()
    return found
