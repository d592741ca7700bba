"""What the README names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "page", ["README.md", "rosgeo/demo/README.md", "rosgeo/model/weights/README.md", "tests/benchmarks/README.md"]
)
def test_links_lead_to_files(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert all(((ROOT / page).parent / link).exists() for link in links), links
    assert not re.search(r"\b(TODO|VAL_TABLE|RASTER_TABLE|SPEED|SCORES)\b", text)


def test_the_model_card_names_the_weights_that_are_there() -> None:
    from rosgeo.model.checkpoint import sha256_of
    from rosgeo.model.registry import EMBEDDED

    assert sha256_of(EMBEDDED["rosgeo-small"]) in (ROOT / "rosgeo/model/weights/README.md").read_text(encoding="utf-8")
