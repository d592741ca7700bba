"""Fill values that no tag names, and stretches that leave no contrast."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from rosgeo.errors import OptionError, PixelsWarning
from rosgeo.raster.bands import Stretch, StretchRule, parse_stretch
from rosgeo.raster.crops import open_reader
from rosgeo.raster.fill import find_fills
from rosgeo.raster.reading import Reading, equals_any, make_reading, parse_nodata
from rosgeo.raster.sample import sample_scene
from rosgeo.raster.source import open_source

from tests.conftest import WriteRaster

SCALING = ((1.0, 0.0),) * 3


def field(low: float, high: float, dtype: str = "float32", fill: float | None = None, share: float = 0.2) -> np.ndarray:
    """Values (3, 100, 100) between two ends, the first rows filled."""
    values = np.random.default_rng(0).uniform(low, high, (3, 100, 100)).astype(dtype)
    if fill is not None:
        values[:, : round(100 * share)] = fill
    return values


def found(values: np.ndarray) -> list[tuple[float, float, bool]]:
    fills = find_fills(values, np.ones(values.shape, dtype=bool))
    return [(fill.value, round(fill.share, 3), fill.certain) for fill in fills]


@pytest.mark.parametrize(
    ("low", "high", "dtype", "fill"),
    [
        (0, 0.4, "float32", -9999),
        (0, 0.4, "float32", -32768),
        (0, 0.4, "float32", float(np.finfo(np.float32).max)),
        (0, 0.4, "float64", 1e20),
        (0, 0.4, "float64", -1.7976931348623157e308),
        (-80, 8800, "float32", -9999),  # heights
        (-25, 5, "float32", -999),
        (500, 3500, "int16", -9999),
        (500, 3500, "int16", -32768),
        (-20000, 20000, "int16", -32768),
        (300, 9000, "int32", -2147483648),
        (5000, 6000, "uint16", 0),
        (-1, 1, "float32", -2000),
        (270, 320, "float32", 0),  # kelvin
        (0, 3000, "float32", 99999),
    ],
)
def test_what_is_taken_as_nodata(low: float, high: float, dtype: str, fill: float) -> None:
    values = field(low, high, dtype, fill)
    assert found(values) == [(float(np.dtype(dtype).type(fill)), 0.2, True)]


@pytest.mark.parametrize(
    ("low", "high", "dtype", "fill"),
    [
        (100, 900, "uint16", 65535),
        (100, 900, "uint16", 4095),
        (100, 900, "int16", 32767),
        (0, 0.4, "float32", 2.0),
        (0, 40, "uint8", 255),
    ],
)
def test_what_may_be_saturated_is_told_and_counts(low: float, high: float, dtype: str, fill: float) -> None:
    assert found(field(low, high, dtype, fill)) == [(fill, 0.2, False)]


@pytest.mark.parametrize(
    "values",
    [
        field(0, 0.4),
        field(0, 3000, "uint16", 0),
        field(0, 0.4, fill=-9999, share=0.0),
        field(8000, 12000, "uint16", 0),
        (field(0, 2) > 1).astype("float32"),
        field(1, 6, "int16", 0),
        field(1, 6, "uint8", 0),
        np.where(field(0, 1) > 0.5, 10.0, -9999.0)[:, :2, :2],
        np.random.default_rng(0).lognormal(0, 2, (3, 100, 100)),
        np.linspace(-10000, 1, 30000).reshape(3, 100, 100),
    ],
    ids=["even", "black", "too few", "near", "truth", "classes", "8 bit", "few", "tail", "ramp"],
)
def test_what_is_no_fill(values: np.ndarray) -> None:
    assert found(values) == []


def test_a_resampled_edge_and_a_second_value() -> None:
    values = field(0, 0.4, fill=-9999)
    values[:, 20] = np.linspace(-9000, 0, 100)  # between fill and ground
    assert found(values) == [(-9999, 0.2, True)]
    values[:, 90:] = 1e20
    assert found(values) == [(-9999, 0.2, True), (float(np.float32(1e20)), 0.1, True)]


def test_the_stretch_is_of_the_rest(write_raster: WriteRaster) -> None:
    values = field(0, 0.4, fill=-9999, share=0.23)
    scene = write_raster(array=values)
    with open_source(scene) as source:
        with pytest.warns(PixelsWarning) as said:
            reader = open_reader(source, bands=None, stretch=StretchRule(), padding_rgb=(0, 0, 0))
        _, valid = reader.source.read((1, 2, 3), slice(20, 30), slice(0, 100))
    assert len(said) == 1
    text = str(said[0].message)
    assert text.startswith(
        f"23 % of {scene} are -9999, far below all other values, and not tagged as nodata: they are taken as nodata."
    )
    assert "--nodata -9999" in text
    np.testing.assert_array_equal(valid.all(axis=1), [False] * 3 + [True] * 7)
    assert reader.stretch.low == pytest.approx([0.008] * 3, abs=0.002)
    assert [f.value for f in reader.fills] == [-9999]
    assert reader.source.reading.fill == (-9999.0,)


@pytest.mark.parametrize(("nodata", "valid"), [((), True), ((-9999.0,), False), ((5.0,), False)])
def test_the_users_word_goes_before_what_is_found(nodata: tuple[float, ...], valid: bool, write_raster: WriteRaster) -> None:
    scene = write_raster(array=field(0, 0.4, fill=-9999))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with open_source(scene, Reading(nodata=nodata)) as source:
            reader = open_reader(source, bands=None, stretch=StretchRule(), padding_rgb=(0, 0, 0))
            _, there = reader.source.read((1, 2, 3), slice(0, 100), slice(0, 100))
    assert bool(there[:20].all()) == valid
    assert there[20:].all()
    taken = [w for w in said if "taken as nodata" in str(w.message)]
    assert len(taken) == (nodata == (5.0,))
    if not nodata:
        assert "grey level" in str(said[0].message)


def test_a_stretch_that_leaves_nothing_is_told() -> None:
    values = field(0, 0.4)
    good = np.ones(values.shape, dtype=bool)
    wrong = sample_scene(values, good, parse_stretch("range:0,3000"), SCALING)
    assert wrong.levels == 1
    (said,) = wrong.few_levels("a.tif", parse_stretch("range:0,3000"), SCALING)
    assert "a.tif: the stretch 0 to 3000 leaves 1 grey level to nine tenths of the valid pixels" in said
    for rule in ("auto", "range:0,0.4", "percentile:5,90"):
        assert not sample_scene(values, good, parse_stretch(rule), SCALING).few_levels("a.tif", parse_stretch(rule), SCALING)
    # Ground of one value has no contrast to lose.
    assert not sample_scene(np.full((3, 50, 50), 7.0), good[:, :50, :50], StretchRule(), SCALING).few_levels(
        "a", StretchRule(), SCALING
    )


def test_measurements_of_a_range() -> None:
    stored = (field(0, 0.4) * 10_000 + 1000).astype("uint16")
    scaling = ((1e-4, -0.1),) * 3
    sampled = sample_scene(stored, np.ones(stored.shape, dtype=bool), parse_stretch("range:0,0.4"), scaling)
    assert sampled.stretch.low == pytest.approx((1000,) * 3)
    assert sampled.stretch.high == pytest.approx((5000,) * 3)
    upside_down = ((-1e-4, 0.0),) * 3
    for rule in ("range:-0.5,-0.1", "percentile:0,100"):
        stretch = sample_scene(stored, np.ones(stored.shape, dtype=bool), parse_stretch(rule), upside_down).stretch
        assert stretch.low is not None
        assert stretch.high is not None
        assert stretch.low[0] > stretch.high[0]
        picture = stretch.apply(stored)
        assert picture[0].flat[stored[0].argmin()] > picture[0].flat[stored[0].argmax()]


@pytest.mark.parametrize(
    ("given", "values"),
    [
        (None, None),
        ("none", ()),
        ("-9999", (-9999.0,)),
        ("-9999,0", (-9999.0, 0.0)),
        (7, (7.0,)),
        ([1, 2], (1.0, 2.0)),
        ("3.4e38", (3.4e38,)),
    ],
)
def test_nodata_as_it_is_given(given: Any, values: tuple[float, ...] | None) -> None:
    assert parse_nodata(given) == values
    assert np.isnan(parse_nodata("nan") or ()).all()


@pytest.mark.parametrize("given", ["", "black", "1;2", "1,,2", "--", object()])
def test_nodata_that_is_none(given: Any) -> None:
    with pytest.raises(OptionError, match="expected a number as in -9999"):
        parse_nodata(given)


def test_heights_that_are_none() -> None:
    with pytest.raises(OptionError, match="both given"):
        make_reading(None, "dem.tif", 5)
    with pytest.raises(OptionError, match="expected metres"):
        make_reading(None, None, float("nan"))


def test_values_are_compared_to_their_last_digits() -> None:
    single = np.array([-3.4028235e38, 3.4028235e38, 0.1, -9999, np.nan, np.inf], dtype=np.float32)
    np.testing.assert_array_equal(equals_any(single, [-3.40282e38]), [True, False, False, False, False, False])
    np.testing.assert_array_equal(equals_any(single, [0.1, float("nan")]), [False, False, True, False, True, False])
    np.testing.assert_array_equal(equals_any(single, [float("inf")]), [False] * 5 + [True])
    np.testing.assert_array_equal(equals_any(np.array([0, 7, 255], np.uint8), [7, -9999]), [False, True, False])
    np.testing.assert_array_equal(equals_any(single, []), [False] * 6)


@pytest.mark.parametrize("fill", [float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)])
def test_the_largest_numbers_overflow_without_a_word(write_raster: WriteRaster, fill: float) -> None:
    path = write_raster("huge.tif", field(0, 1, fill=fill))
    with open_source(path) as source, warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", PixelsWarning)
        reader = open_reader(source, bands=None, stretch=StretchRule(), padding_rgb=(0, 0, 0))
        values, valid = reader.source.read(reader.bands, slice(0, 40), slice(0, 40))
        reader.stretch.apply(values)
        Stretch((0.0,) * 3, (1.0,) * 3).apply(np.full((3, 2, 2), np.finfo(np.float64).min))
    assert valid[:, 0].tolist() == [False] * 20 + [True] * 20


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (-9999, "int16", [(-9999, 1.0, True)]),
        (-3.4e38, "float32", [(float(np.float32(-3.4e38)), 1.0, True)]),
        (32767, "int16", [(32767, 1.0, False)]),
        (0, "int16", []),
        (7, "uint16", []),
    ],
)
def test_a_scene_of_nothing_but_a_fill_value(value: float, dtype: str, expected: Any) -> None:
    assert found(np.full((3, 40, 40), value, dtype=dtype)) == expected
