"""XML that a stranger wrote, read as plain elements: no document type, so that no entity grows or leads to a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from edgeflow.core.errors import DataError

DEPTH_MAX = 32
"""Elements in elements; PASCAL VOC has five."""


@dataclass(slots=True)
class Element:
    """An element with the text in it and the elements in it; attributes are left out."""

    name: str
    text: str = ""
    inner: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """The elements of this name that stand directly in it."""
        return (one for one in self.inner if one.name == name)

    def first(self, *names: str) -> Element | None:
        """The first element on a way of names; None where the way ends."""
        found: Element | None = self
        for name in names:
            found = None if found is None else next(found.all(name), None)
        return found


def read_xml(data: bytes, where: str) -> Element:
    """The outermost element of an XML document whose size the caller has bounded.

    Raises:
        DataError: no XML, nested deeper than DEPTH_MAX, or with a document type.
    """
    root = Element("")
    open_now = [root]

    def start(name: str, _: dict[str, str]) -> None:
        if len(open_now) > DEPTH_MAX:
            raise DataError(f"{where}: has elements in elements more than {DEPTH_MAX} deep, which no annotation has")
        element = Element(name)
        open_now[-1].inner.append(element)
        open_now.append(element)

    def end(_: str) -> None:
        open_now.pop()

    def text(data: str) -> None:
        open_now[-1].text += data

    def declared(*_: object) -> None:
        raise DataError(
            f"{where}: declares a document type, whose entities may grow or lead to other files, and should have none",
            try_="take the line <!DOCTYPE …> out",
        )

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = declared
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as err:
        raise DataError(f"{where}: cannot be read as XML ({err})") from err
    return root.inner[0]
