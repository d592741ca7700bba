"""Messages of lower rooms in the words of the command that was called."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rosgeo.errors import RosgeoWarning, UserInputError

__all__ = ["KEYS", "OPTIONS", "Spelling", "spelled"]

Spelling = dict[str, str]

KEYS: Spelling = {
    "--boxes-crs": "labels_crs:",
    "--layer": "the key layer",
    "--where": "where:",
    "--y-axis": "y_axis:",
    "--bands": "bands:",
    "--stretch": "stretch:",
    "--nodata": "nodata:",
    "--dem": "the key dem",
    "--height": "the key height",
    "--labels": "the key labels (with kind: raster)",
    "--annotations": "the key annotations",
    "--subset": "the key subset",
}
"""Of a training configuration."""

OPTIONS: Spelling = {"--boxes-crs": "--labels-crs"}
"""Of ``rosgeo evaluate`` and ``check``."""


@contextmanager
def spelled(words: Spelling) -> Iterator[None]:
    """Errors and warnings that come up within, with the options of ``rosgeo segment`` replaced and boxes called labels.

    Parameters
    ----------
    words : dict
        Option of ``rosgeo segment`` -> what to say instead.
    """

    def reword(text: str) -> str:
        text = re.sub("|".join(rf"{option}(?![\w-])" for option in words), lambda found: words[found[0]], text)
        return (
            re.sub(r"\bboxes\b(?! do not lie|/| on )", "labels", text) if "labels_crs" in text or "--labels-crs" in text else text
        )

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            yield
        except UserInputError as error:
            changed = reword(str(error))
            if changed == str(error):
                raise
            raise type(error)(changed) from error
        finally:
            said = list(heard)
    for warning in said:
        if isinstance(warning.message, RosgeoWarning):
            warnings.warn(reword(str(warning.message)), type(warning.message), stacklevel=4)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
