"""XML files of annotations: told apart by their first tags, read with the line of each element."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from rosgeo.errors import InputFileNotFoundError, TracksError

__all__ = ["XmlSource", "first_tags", "read_xml"]

_HEAD_BYTES = 65_536
_MOST_PIECES = 128


@dataclass(frozen=True)
class XmlSource:
    """An XML file.

    Attributes
    ----------
    path : Path
    root : Element
    lines : dict of Element to int
        The line in which each begins, from 1.
    """

    path: Path
    root: ET.Element
    lines: dict[ET.Element, int]

    def error(self, element: ET.Element, what: str) -> TracksError:
        """An error about an element."""
        return TracksError(f"{self.where(element)}: {what}")

    def where(self, element: ET.Element) -> str:
        """File and line of an element, for messages."""
        return f"{self.path}, line {self.lines.get(element, 1)}"

    def number(self, element: ET.Element, name: str, *, inside: bool = False) -> float:
        """An attribute of an element, or with `inside` the text of an element in it, as a number; raises TracksError where it is none."""
        text = element.findtext(name) if inside else element.get(name)
        try:
            return float(text or "")
        except ValueError as error:
            raise self.error(element, f"<{element.tag}> has {text!r} for {name}; expected a number") from error

    def whole(self, element: ET.Element, name: str) -> int:
        """An attribute as a whole number; raises TracksError where it is none."""
        value = self.number(element, name)
        if value != round(value):
            raise self.error(element, f"<{element.tag}> has {element.get(name)!r} for {name}; expected a whole number")
        return int(value)


def first_tags(path: Path, until: frozenset[str] = frozenset()) -> tuple[str, set[str]]:
    """The root's tag and all tags that begin in the first 64 KB, also of a file that breaks off; an empty text where it is no XML.

    With `until` the file is read on, up to 8 MB, until one of those tags is found.
    """
    tags: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, _: tags.append(tag)
    try:
        with path.open("rb") as file:
            for _ in range(_MOST_PIECES if until else 1):
                piece = file.read(_HEAD_BYTES)
                parser.Parse(piece, not piece)
                if not piece or until & set(tags):
                    break
    except (expat.ExpatError, OSError):
        # What was found before it broke off tells enough.
        pass
    return (tags[0], set(tags)) if tags else ("", set())


def read_xml(path: Path, expected: str) -> XmlSource:
    """Read a file with the lines of its elements.

    Parameters
    ----------
    path : Path
    expected : str
        What it should hold, for messages.

    Raises
    ------
    InputFileNotFoundError, TracksError
        No such file; not well-formed; it declares entities, which no annotations do.
    """
    lines: dict[ET.Element, int] = {}
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    def entity(*_: object) -> None:
        raise TracksError(f"{path}, line {parser.CurrentLineNumber}: it declares entities; expected {expected}, which have none")

    parser.StartElementHandler, parser.EndElementHandler = start, builder.end
    parser.CharacterDataHandler, parser.EntityDeclHandler = builder.data, entity
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
        return XmlSource(path, builder.close(), lines)
    except FileNotFoundError as error:
        raise InputFileNotFoundError(f"{path}: no such file; expected {expected}") from error
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise TracksError(f"{path}, line {error.lineno}: not well-formed XML ({reason}); expected {expected}") from error
    except OSError as error:
        raise TracksError(f"{path} cannot be read: {error.strerror or error}") from error
