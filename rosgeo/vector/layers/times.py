"""Dates and times as text: ISO 8601, the one form in which every format and every offset can be written."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["GDAL_TIME", "date_or_time", "iso_text", "parse_times"]

GDAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?(Z|[+-]\d\d:(00|15|30|45))?")
"""What GDAL keeps of a date with a time: milliseconds, and an offset in quarters of an hour."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_OFFSET = re.compile(r"(?:Z|[+-]\d\d:\d\d)$")


def iso_text(value: Any) -> str:
    """A date, time, or date with time as text: no more digits of a second than it has, ``Z`` for UTC."""
    if not isinstance(value, datetime) and isinstance(value, date):
        return value.isoformat()
    if getattr(value, "nanosecond", 0):
        text: str = value.isoformat()
    else:
        micro = value.microsecond
        text = value.isoformat(timespec="seconds" if not micro else "microseconds" if micro % 1000 else "milliseconds")
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def parse_times(texts: list[str | None]) -> pd.Series:
    """Texts as GDAL gives its dates with times.

    Returns
    -------
    Series
        datetime64 in microseconds: naive where no text names an offset, with one where all name the same. Else objects, each with its own.

    Raises
    ------
    ValueError
        One of them is no such text.
    """
    offsets = [None if t is None else (m.group() if (m := _OFFSET.search(t)) else "") for t in texts]
    local = [None if t is None else t[: len(t) - len(o or "")] for t, o in zip(texts, offsets, strict=True)]
    distinct = {o for o in offsets if o is not None}
    if len(distinct) > 1:
        aware = [None if t is None else datetime.fromisoformat(t) for t in texts]
        return pd.Series(aware, dtype=object)
    times = pd.Series(np.array(local, dtype="datetime64[us]"))
    offset = distinct.pop() if distinct else ""
    if not offset:
        return times
    zone = datetime.fromisoformat(f"2000-01-01T00:00:00{offset}").tzinfo
    assert zone is not None
    behind = zone.utcoffset(None)
    assert behind is not None
    utc = (times - behind).dt.tz_localize("UTC")
    return utc if behind == timedelta(0) else utc.dt.tz_convert(timezone(behind))


def date_or_time(texts: list[str | None]) -> Any:
    """Texts that are all dates, or all dates with times, as such; None where one of them would not be written as it is.

    JSON has no dates. What is taken for one is what gives the same text again.
    """
    there = [t for t in texts if t is not None]
    try:
        if there and all(_DATE.fullmatch(t) for t in there):
            return [None if t is None else date.fromisoformat(t) for t in texts]
        if there and all("T" in t for t in there):
            times = [None if t is None else datetime.fromisoformat(t) for t in texts]
            if all(t is None or iso_text(v) == t for t, v in zip(texts, times, strict=True)):
                return parse_times(texts)
    except ValueError:
        return None
    return None
