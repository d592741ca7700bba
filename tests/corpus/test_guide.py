"""The table in the guide: each row has its tests, and each kind of the corpus its row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.corpus import arrays, formats, grids, pixels  # noqa: F401 - they fill KINDS
from tests.corpus.kinds import KINDS
from tests.corpus.refused import REFUSED

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guide" / "scenes.md"
ROWS = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
ROWS = [row for row in ROWS if row[0] not in ("kind", "---")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_has_tests(row: list[str]) -> None:
    _, _, tests = row
    taken, _, refused = tests.partition("refused: ")
    names, wrong = re.findall("`([^`]+)`", taken), re.findall("`([^`]+)`", refused)
    assert set(names) <= set(KINDS)
    assert set(wrong) <= set(REFUSED)
    files = re.findall(r"tests/\S+\.py", tests)
    assert all((ROOT / file).is_file() for file in files)
    assert names or wrong or files


def test_a_kind_has_a_row() -> None:
    told = {name for row in ROWS for name in re.findall("`([^`]+)`", row[2])}
    assert set(KINDS) | set(REFUSED) == told
