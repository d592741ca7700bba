"""What a reader of labels found: objects and classes, what was left out and why, what was changed, what looks wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rosgeo.errors import LabelsWarning

__all__ = ["Finding", "Report", "tally", "warn_of"]

_MUCH = 0.1
"""Above this share, what is lost is worth a warning."""


@dataclass(frozen=True)
class Finding:
    """Something that several labels have in common.

    Attributes
    ----------
    what : str
        Goes on after a number, as in "3 outside the picture".
    count : int
        How many there are.
    first : str
        Which the first one is; empty where that tells nothing.
    rows : tuple of int
        Objects of the source that it is about, as far as they are among the objects.
    lost : bool
        Whether labels are lost by it that were meant to be objects.
    loud : bool
        Whether it is worth a warning.
    brief : str
        In a word or two, for a picture.
    """

    what: str
    count: int
    first: str = ""
    rows: tuple[int, ...] = ()
    lost: bool = True
    loud: bool = False
    brief: str = ""

    @property
    def text(self) -> str:
        """The finding in words, with its first example."""
        return f"{self.count} {self.what}" + (f" (first: {self.first})" if self.first else "")


@dataclass(frozen=True)
class Report:
    """What one source of labels holds.

    Attributes
    ----------
    source : str
        Its name.
    objects, pictures : int
        What can be used.
    classes : dict
        Class -> number of objects, the most frequent first.
    left_out, changed : tuple of Finding
        Labels that are not among the objects; those that are not as the file has them.
    suspicious : tuple of Finding
        What may be meant so, but rarely is. The text of a loud one is a whole sentence.
    """

    source: str
    objects: int
    pictures: int
    classes: dict[str, int]
    left_out: tuple[Finding, ...] = ()
    changed: tuple[Finding, ...] = ()
    suspicious: tuple[Finding, ...] = ()

    def counts(self) -> dict[str, int]:
        """Reason -> number of labels that were left out."""
        return {finding.what: finding.count for finding in self.left_out}

    @property
    def lost_share(self) -> float:
        """The share of the labels that were meant to be objects and are none."""
        lost = sum(finding.count for finding in self.left_out if finding.lost)
        return lost / (lost + self.objects) if lost else 0.0

    def lines(self) -> tuple[str, ...]:
        """The report in words: one line of what there is, and one for each of what is changed and what looks wrong."""
        classes = ", ".join(f"{name} {count}" for name, count in self.classes.items())
        lost = ", ".join(finding.text for finding in self.left_out)
        first = f"{self.source}: {self.objects} objects in {self.pictures} pictures ({classes}); left out: {lost or 'none'}"
        changed = [f"  changed: {', '.join(f.text for f in self.changed)}"] if self.changed else []
        return (first, *changed, *(f"  look at: {f.text}" for f in self.suspicious))

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""

        def rows(findings: Sequence[Finding]) -> dict[str, dict[str, Any]]:
            return {f.what: {"count": f.count, "first": f.first} for f in findings}

        return {
            "source": self.source,
            "objects": self.objects,
            "pictures": self.pictures,
            "classes": self.classes,
            "left_out": rows(self.left_out),
            "changed": rows(self.changed),
            "suspicious": rows(self.suspicious),
        }


def tally(notes: Iterable[tuple[str, str]], *, quiet: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Findings of (what, which) pairs, each with its number and its first example, in the order of their first; `quiet` are no loss."""
    found: dict[str, Finding] = {}
    for what, which in notes:
        old = found.get(what)
        found[what] = Finding(what, 1, which, lost=what not in quiet) if old is None else replace(old, count=old.count + 1)
    return tuple(found.values())


def warn_of(report: Report) -> None:
    """Warn of much that is lost, and of what is loud."""
    if report.lost_share > _MUCH:
        lost = ", ".join(f.text for f in report.left_out if f.lost)
        total = report.objects + sum(f.count for f in report.left_out if f.lost)
        warnings.warn(
            f"{report.source}: {total - report.objects} of {total} labels are left out: {lost}", LabelsWarning, stacklevel=4
        )
    for finding in report.suspicious:
        if finding.loud:
            warnings.warn(f"{report.source}: {finding.text}", LabelsWarning, stacklevel=4)
