"""Every exception and warning class of rosgeo.

One rule for messages: what and where, what was found, what was expected, what to do. Each class also inherits the built-in
that a caller would reach for, so ``except ValueError`` and ``except RosgeoError`` both work.
"""

from __future__ import annotations

from typing import Any

from rosgeo.addresses.secrets import plain_record, without_secrets

__all__ = [
    "BoxesError",
    "CRSMismatchError",
    "ClusterError",
    "ColumnsWarning",
    "ComparisonWarning",
    "ConfigError",
    "DeviceError",
    "DownloadError",
    "FormatLossWarning",
    "FrameWarning",
    "GeometryWarning",
    "InputFileNotFoundError",
    "LabelsWarning",
    "ModelError",
    "NoOverlapWarning",
    "NoRpcsError",
    "OptionError",
    "OutOfMemoryWarning",
    "OutputError",
    "PixelFrameWarning",
    "PixelsWarning",
    "PlacementWarning",
    "RasterError",
    "ResumeError",
    "RosgeoError",
    "RosgeoWarning",
    "RunInterruptedError",
    "TracksError",
    "TracksWarning",
    "TrainingDataError",
    "UserInputError",
]


class RosgeoError(Exception):
    """Root of all errors that rosgeo raises on purpose. Its message holds no secret of an address, whoever wrote the text."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*plain_record(args))

    def add_note(self, note: str, /) -> None:
        """Add to the message."""
        super().add_note(without_secrets(note))


class UserInputError(RosgeoError):
    """The user's input cannot be used as given; the command line ends with exit code 2."""


class InputFileNotFoundError(UserInputError, FileNotFoundError):
    """A file that was named as input does not exist."""


class RasterError(UserInputError, ValueError):
    """A raster cannot be opened or read, or holds what rosgeo cannot segment."""


class BoxesError(UserInputError, ValueError):
    """A layer of boxes cannot be read, is empty, or holds geometries that are no boxes or polygons."""


class TracksError(UserInputError, ValueError):
    """A file of tracked boxes cannot be read, or its format is not known."""


class CRSMismatchError(UserInputError, ValueError):
    """One of raster and boxes has a CRS and the other has none."""


class OutputError(UserInputError, OSError):
    """The output cannot be written where and as it was asked for."""


class OptionError(UserInputError, ValueError):
    """An option has a value outside its documented choices."""


class NoRpcsError(OptionError):
    """Heights were given for a scene that no RPCs place."""


class ConfigError(UserInputError, ValueError):
    """A configuration file has an unknown key or a value of the wrong kind."""


class ModelError(UserInputError, ValueError):
    """A model's name is unknown, or its file is not what its name or metadata promise."""


class DeviceError(UserInputError, RuntimeError):
    """A compute device was asked for that this machine does not have."""


class DownloadError(RosgeoError, OSError):
    """A model cannot be fetched: no network, a server that refuses, a wrong hash, a full disk. No fault of the input: exit code 1."""


class TrainingDataError(UserInputError, ValueError):
    """Training or evaluation data cannot be read or hold no usable object."""


class ResumeError(UserInputError, ValueError):
    """A run cannot go on from what an earlier one left."""


class ClusterError(RosgeoError, RuntimeError):
    """The Dask cluster cannot run the work."""


class RunInterruptedError(RosgeoError, KeyboardInterrupt):
    """The user stopped the work; the message says how to go on."""


class RosgeoWarning(UserWarning):
    """Root of all warnings that rosgeo issues. Its message holds no secret of an address."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*plain_record(args))


class ComparisonWarning(RosgeoWarning):
    """Two layers are compared that can hardly be meant for each other."""


class ColumnsWarning(RosgeoWarning):
    """Rows that are added to a result lack columns that it has."""


class FormatLossWarning(RosgeoWarning):
    """A format of the output cannot hold all of the result as it is."""


class FrameWarning(RosgeoWarning):
    """Frames of a clip cannot be read, or frames that tracks name are not there."""


class GeometryWarning(RosgeoWarning):
    """Rows of a layer hold no polygon, or one that had to be read in one of several ways."""


class TracksWarning(RosgeoWarning):
    """Rows of a file of tracks have no usable box, or values that its format cannot have."""


class LabelsWarning(RosgeoWarning):
    """Labels for training or evaluation that look otherwise than such labels mostly do, or of which many cannot be used."""


class NoOverlapWarning(RosgeoWarning):
    """Not one box touches the raster."""


class OutOfMemoryWarning(RosgeoWarning):
    """The device's memory did not hold a batch; smaller ones are run."""


class PixelFrameWarning(RosgeoWarning):
    """In which frame the coordinates of boxes are had to be assumed: pixels or a transform without CRS, y downwards or upwards."""


class PixelsWarning(RosgeoWarning):
    """Pixels are not what they seem: fill values that no tag names, a stretch that leaves few grey levels, a mask that does not count."""


class PlacementWarning(RosgeoWarning):
    """Outlines may lie beside their objects: control points that are missed, heights that were assumed, a coarse change of datum."""
