"""rosgeo in QGIS's Processing toolbox: outlines of the objects in boxes on a raster.

``rosgeo qgis install`` puts this file into a QGIS profile. It runs rosgeo's command line in the environment that rosgeo was
installed in, whose program is named in ``rosgeo_settings.json`` beside this file; nothing of rosgeo (nor torch) is imported into QGIS.

QGIS 3.22 and later; the language is that of Python 3.8, which QGIS 3.22 came with on some systems.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from qgis.core import (
    QgsCoordinateTransformContext,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
    QgsProviderRegistry,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

SETTINGS = "rosgeo_settings.json"
PATIENCE_S = 4.0
PROGRESS = re.compile(r"^(\d+) of (\d+) objects")
# What QGIS sets for its own Python and GDAL, which would lead another Python astray.
FOREIGN = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA")

HELP = """Finds the outline of the object in each box of a layer on a raster. The result has a row for each box, with all its attributes.

The work is done by the program rosgeo in an environment of its own. Cancelling stops it within seconds; with an output file (not a
temporary one), run the same again with "Go on where a cancelled run was" and nothing is computed twice.

Correct the outlines in QGIS: rows that you change get the status "corrected". "rosgeo train configs/train/fine-tune.yaml" learns from
that layer, and "Model" takes the file that it writes.
"""


class _Opened(QgsProcessingLayerPostProcessorInterface):
    """Gives a result layer the style that is in its GeoPackage, whatever style Processing gave it."""

    kept: list[Any] = []  # noqa: RUF012 - QGIS holds no reference of its own

    def postProcessLayer(self, layer: Any, context: Any, feedback: Any) -> None:
        """Called by QGIS once the layer is in the project."""
        message, found = layer.loadDefaultStyle()
        if not found:
            feedback.pushInfo(f"The style in the GeoPackage could not be loaded: {message}")
        layer.triggerRepaint()


class RosgeoSegment(QgsProcessingAlgorithm):
    """Boxes on a raster to outlines."""

    def name(self) -> str:
        """The algorithm's id is script:rosgeosegment."""
        return "rosgeosegment"

    def displayName(self) -> str:
        """What the toolbox shows."""
        return "rosgeo: segment objects in boxes"

    def group(self) -> str:
        """Group in the toolbox."""
        return "rosgeo"

    def groupId(self) -> str:
        """Id of the group."""
        return "rosgeo"

    def shortHelpString(self) -> str:
        """Shown beside the dialog."""
        return HELP

    def tags(self) -> list[str]:
        """Words that find it."""
        return ["segment anything", "sam", "outline", "polygon", "footprint", "extract", "detect"]

    def createInstance(self) -> Any:
        """A new one, for QGIS."""
        return RosgeoSegment()

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Parameters and outputs."""
        self.addParameter(QgsProcessingParameterRasterLayer("SCENE", "Raster"))
        self.addParameter(QgsProcessingParameterFeatureSource("BOXES", "Boxes", [QgsProcessing.TypeVectorPolygon]))
        self.addParameter(QgsProcessingParameterString("MODEL", "Model (a name, or a weights file)", "rosgeo-small"))
        self._choice("DEVICE", "Device", ["auto", "cpu", "cuda", "mps"])
        self._choice("OUTLINE", "Outlines: smooth, or along pixel edges", ["smooth", "pixel"])
        self._number("MIN_AREA", "Smallest part and hole, square pixels (empty: 1 % of the box)", 0.0)
        self._advanced(QgsProcessingParameterBoolean("RESUME", "Go on where a cancelled run was", False))
        self._number("CROP_FACTOR", "Side of the crop over the box's longer side (empty: rosgeo's own)", 1.0)
        self._text("BANDS", "Bands from 1 or by name, as in 4,3,2 (empty: red, green, blue)")
        self._text("STRETCH", "Stretch to 8-bit: auto, none, percentile:LO,HI or range:LO,HI (empty: auto)")
        self._text("NODATA", "Value that is no measurement, as in -9999 (empty: as the scene is tagged)")
        self._advanced(QgsProcessingParameterBoolean("SHARE", "Boxes near each other share a crop (faster, coarser)", False))
        self._text("EXTRA", "More options of 'rosgeo segment', as on a command line")
        self._text("COMMAND", "The program rosgeo (empty: as installed)")
        self.addParameter(QgsProcessingParameterBoolean("ADD_PROMPTS", "Also add the boxes as the model was given them", False))
        self.addParameter(QgsProcessingParameterVectorDestination("OUTPUT", "Outlines", QgsProcessing.TypeVectorPolygon))
        self.addOutput(QgsProcessingOutputVectorLayer("PROMPTS", "Prompts", QgsProcessing.TypeVectorPolygon))

    def checkParameterValues(self, parameters: dict[str, Any], context: Any) -> Any:
        """The output has to be a GeoPackage: style, prompts and record are kept in it."""
        fine, message = super().checkParameterValues(parameters, context)
        target = parameters.get("OUTPUT")
        text = str(getattr(getattr(target, "sink", None), "staticValue", lambda: target)())
        if fine and text not in ("TEMPORARY_OUTPUT", "memory:", "None", "") and not text.lower().endswith(".gpkg"):
            return False, f"Outlines: {text} is no GeoPackage; expected a file that ends with .gpkg"
        return fine, message

    def prepareAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> bool:
        """In QGIS's main thread, where layers may be asked: which files raster and boxes are."""
        raster = self.parameterAsRasterLayer(parameters, "SCENE", context)
        if raster is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, "SCENE"))
        if raster.providerType() != "gdal":
            raise QgsProcessingException(
                f"{raster.name()} comes from a service ({raster.providerType()}); expected a raster file. Export it first."
            )
        self._scene, self._scene_name = raster.source(), raster.name()
        value = parameters.get("BOXES")
        self._selected = isinstance(value, QgsProcessingFeatureSourceDefinition) and value.selectedFeaturesOnly
        layer = self.parameterAsVectorLayer(parameters, "BOXES", context)
        self._boxes = None if layer is None or self._selected else file_of(layer)
        source = self.parameterAsSource(parameters, "BOXES", context)
        self._in_pixels = source is not None and drawn_on_picture(source, raster)
        return True

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:
        """In a thread of its own: run rosgeo."""
        target = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        folder = tempfile.mkdtemp(prefix="rosgeo-qgis-")
        try:
            boxes = self._boxes or self._export(parameters, context, feedback, folder)
            arguments = ["segment", self._scene, *boxes, "-o", target, "--overwrite", *self._options(parameters, context)]
            command = command_of(self.parameterAsString(parameters, "COMMAND", context))
            run(command + arguments, feedback)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        outlines, prompts = target + "|layername=masks", target + "|layername=prompts"
        self._open(parameters, context, target, outlines, prompts)
        return {"OUTPUT": outlines, "PROMPTS": prompts}

    def _export(self, parameters: dict[str, Any], context: Any, feedback: Any, folder: str) -> list[str]:
        """The features of the boxes, as QGIS shows them (selected, filtered, edited), in a GeoPackage."""
        source = self.parameterAsSource(parameters, "BOXES", context)
        if source is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, "BOXES"))
        if source.featureCount() == 0:
            raise QgsProcessingException("Boxes: no features; expected at least one polygon. Are any selected?")
        # The name goes into the run's record.
        path = os.path.join(folder, (re.sub(r"[^\w. -]", "_", source.sourceName()).strip(". ")[:80] or "boxes") + ".gpkg")
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.driverName, options.layerName = "GPKG", "boxes"
        # A field called fid is data here, and need not be unique.
        options.layerOptions = ["FID=rosgeo_export_fid"]
        writer = QgsVectorFileWriter.create(
            path, source.fields(), source.wkbType(), source.sourceCrs(), QgsCoordinateTransformContext(), options
        )
        features = source.getFeatures()
        # QGIS gives selected features in any order; a run that goes on needs the same one.
        for feature in sorted(features, key=lambda f: f.id()) if self._selected else features:
            if feedback.isCanceled():
                break
            if not writer.addFeature(feature):
                raise QgsProcessingException("The boxes cannot be exported: " + writer.errorMessage())
        message = writer.errorMessage() if writer.hasError() else ""
        del writer
        if message:
            raise QgsProcessingException("The boxes cannot be exported: " + message)
        return [path]

    def _options(self, parameters: dict[str, Any], context: Any) -> list[str]:
        options = ["--model", self.parameterAsString(parameters, "MODEL", context)]
        options += ["--device", self.parameterAsString(parameters, "DEVICE", context)]
        options += ["--outline", self.parameterAsString(parameters, "OUTLINE", context)]
        for name, option in (("MIN_AREA", "--min-area"), ("CROP_FACTOR", "--crop-factor")):
            if parameters.get(name) is not None:
                options += [option, repr(self.parameterAsDouble(parameters, name, context))]
        for name, option in (("BANDS", "--bands"), ("STRETCH", "--stretch"), ("NODATA", "--nodata")):
            text = self.parameterAsString(parameters, name, context).strip()
            options += [option, text] if text else []
        for name, option in (("SHARE", "--share"), ("RESUME", "--resume")):
            options += [option] if self.parameterAsBool(parameters, name, context) else []
        options += ["--boxes-crs", "pixel"] if self._in_pixels else []
        return options + words(self.parameterAsString(parameters, "EXTRA", context))

    def _open(self, parameters: dict[str, Any], context: Any, target: str, outlines: str, prompts: str) -> None:
        """Have QGIS open the layers of the GeoPackage rather than the file, under names that say what they are."""
        loading = context.layersToLoadOnCompletion()
        details = loading.pop(target, None)
        if details is None:
            return
        details.name, details.forceName = f"{self._scene_name} outlines", True
        if self.parameterAsBool(parameters, "ADD_PROMPTS", context):
            boxes = QgsProcessingContext.LayerDetails(f"{self._scene_name} prompts", details.project, "PROMPTS")
            boxes.forceName = True
            loading[prompts] = boxes
        loading[outlines] = details
        for entry in loading.values():
            processor = _Opened()
            _Opened.kept.append(processor)
            entry.setPostProcessor(processor)
        context.setLayersToLoadOnCompletion(loading)

    def _choice(self, name: str, text: str, values: list[str]) -> None:
        choice = QgsProcessingParameterEnum(name, text, values, False, values[0])
        choice.setUsesStaticStrings(True)
        self.addParameter(choice)

    def _number(self, name: str, text: str, least: float) -> None:
        self._advanced(QgsProcessingParameterNumber(name, text, QgsProcessingParameterNumber.Double, None, True, least))

    def _text(self, name: str, text: str) -> None:
        self._advanced(QgsProcessingParameterString(name, text, "", False, True))

    def _advanced(self, parameter: Any) -> None:
        parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
        self.addParameter(parameter)


def drawn_on_picture(boxes: Any, raster: Any) -> bool:
    """Whether boxes lie on a raster without georeferencing in a CRS that QGIS gave their layer: they are in its pixels all the same."""
    own = raster.dataProvider()
    # Where QGIS shows a raster without georeferencing.
    picture = QgsRectangle(0, -own.ySize(), own.xSize(), 0)
    is_picture = not own.crs().isValid() and own.extent() == picture
    return bool(is_picture and boxes.sourceCrs().isValid() and picture.intersects(boxes.sourceExtent()))


def file_of(layer: Any) -> list[str] | None:
    """Arguments for a layer that is a file as it is; None where QGIS shows something else than the file holds."""
    if (
        layer.providerType() != "ogr"
        or layer.subsetString()
        or layer.isModified()
        or layer.fields() != layer.dataProvider().fields()
    ):
        return None
    parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
    path, name = parts.get("path"), parts.get("layerName")
    if not path or not os.path.exists(path):
        return None
    if name:
        return [path, "--layer", name]
    # Without a name it is the only layer, or it is told apart by a number that rosgeo does not know.
    lone = len(QgsVectorLayer(path, "", "ogr").dataProvider().subLayers()) <= 1
    return [path] if lone and parts.get("layerId") in (None, 0) else None


def words(text: str) -> list[str]:
    """A command line as a list; backslashes of Windows' paths stay."""
    if os.name != "nt":
        return shlex.split(text)
    return [word.strip('"') for word in shlex.split(text, posix=False)]


def settings() -> dict[str, Any]:
    """What ``rosgeo qgis install`` wrote beside this file; empty where it did not."""
    here = globals().get("__file__")  # not set where QGIS's editor runs the script
    path = os.path.join(os.path.dirname(os.path.abspath(here)), SETTINGS) if here else ""
    try:
        with open(path, encoding="utf-8") as file:
            read = json.load(file)
        return read if isinstance(read, dict) else {}
    except (OSError, ValueError):
        return {}


def command_of(given: str) -> list[str]:
    """The program: as given in the dialog, by the environment variable ROSGEO_COMMAND, as installed, or on the path."""
    for text in (given, os.environ.get("ROSGEO_COMMAND", "")):
        text = text.strip()
        if text:
            return [text] if os.path.exists(text) else words(text)
    installed = settings().get("command")
    if isinstance(installed, list) and installed:
        return [str(word) for word in installed]
    found = shutil.which("rosgeo")
    if found:
        return [found]
    raise QgsProcessingException(
        "The program rosgeo was not found. Run 'rosgeo qgis install' in its environment, or name it under 'The program rosgeo'."
    )


def run(command: list[str], feedback: Any) -> None:
    """Run rosgeo, show what it says, and stop it when the user cancels.

    Parameters
    ----------
    command : list of str
    feedback : QgsProcessingFeedback

    Raises
    ------
    QgsProcessingException
        With rosgeo's own line, where it fails.
    """
    feedback.pushInfo("Running: " + " ".join(shlex.quote(word) for word in command))
    child = _start(command)
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
    said: list[str] = []
    open_ended = True
    while open_ended:
        if feedback.isCanceled():
            _stop(child)
            feedback.reportError(
                "Cancelled. What is finished is kept beside the output: run the same again, to the same output file, with "
                "'Go on where a cancelled run was'."
            )
            raise QgsProcessingException("rosgeo was cancelled")
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            continue
        open_ended = line is not None
        if line:
            said.append(line)
            _show(line, feedback)
    if child.wait():
        raise QgsProcessingException(_reason(said, child.returncode, command))


def _start(command: list[str]) -> Any:
    environment = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    extra = settings().get("environment")
    environment.update({str(k): str(v) for k, v in extra.items()} if isinstance(extra, dict) else {})
    environment.update({"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "ROSGEO_PROGRESS_S": "1"})
    options: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        options = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=environment,
            **options,
        )
    except OSError as error:
        raise QgsProcessingException(
            f"{command[0]} cannot be run ({error.strerror or error}). Run 'rosgeo qgis install' again in rosgeo's environment, or name "
            "the program in the dialog."
        ) from error


def _read(stream: Any, lines: Any) -> None:
    for line in stream:
        lines.put(line.rstrip())
    lines.put(None)


def _show(line: str, feedback: Any) -> None:
    progress = PROGRESS.match(line)
    if progress:
        feedback.setProgress(100.0 * int(progress.group(1)) / max(int(progress.group(2)), 1))
        feedback.setProgressText(line)
    elif line.startswith("Warning: "):
        feedback.pushWarning(line[len("Warning: ") :])
    elif not line.startswith("Error: "):
        feedback.pushInfo(line)


def _reason(said: list[str], code: int, command: list[str]) -> str:
    errors = [line for line in said if line.startswith("Error: ")]
    if errors:
        return errors[-1][len("Error: ") :]
    last = said[-1] if said else "it said nothing"
    return f"{os.path.basename(command[0])} ended with code {code}: {last}"


def _stop(child: Any) -> None:
    """End the program and what it started: first as Ctrl-C does, so that it can close its journal, then by force."""
    if os.name == "nt":
        subprocess.call(
            ["taskkill", "/T", "/F", "/PID", str(child.pid)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=subprocess.CREATE_NO_WINDOW,  # type: ignore[attr-defined]
        )
        child.wait(timeout=PATIENCE_S)
        return
    _signal(child, signal.SIGINT)
    until = time.monotonic() + PATIENCE_S
    while child.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    # Also where the program itself has ended: its workers are of the same group.
    _signal(child, signal.SIGKILL)
    child.wait()


def _signal(child: Any, number: int) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
