"""What the tests do inside QGIS: run by QGIS's own Python, which has nothing of rosgeo.

``python3 qgis_inside.py NAME IN.json OUT.json`` calls the function NAME with the values of the first file and writes what it
returns to the second. QGIS 3.22 and later.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsRenderContext,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsVectorLayerUtils,
)
from qgis.PyQt.QtCore import QCoreApplication, QSize
from qgis.PyQt.QtGui import QColor


def vector(path: str, layer: str) -> Any:
    opened = QgsVectorLayer(f"{path}|layername={layer}", layer, "ogr")
    assert opened.isValid(), path
    return opened


def describe(layer: Any) -> dict[str, Any]:
    """All that a person sees of a layer that was just opened."""
    renderer, fields = layer.renderer(), layer.fields()
    drawn = {}
    if renderer.type() == "RuleRenderer":
        context = QgsRenderContext()
        renderer.startRender(context, fields)
        for feature in layer.getFeatures():
            context.expressionContext().setFeature(feature)
            drawn[feature.id()] = sorted(renderer.legendKeysForFeature(feature, context)) if feature.hasGeometry() else []
        renderer.stopRender(context)
    rules = renderer.rootRule().children() if renderer.type() == "RuleRenderer" else []
    metadata, temporal = layer.metadata(), layer.temporalProperties()
    return {
        "renderer": renderer.type(),
        "classes": [[rule.label(), rule.filterExpression(), rule.symbol().color().name()] for rule in rules],
        "keys": [rule.ruleKey() for rule in rules],
        "drawn": drawn,
        "rows": layer.featureCount(),
        "labels": layer.labelsEnabled(),
        "aliases": {f.name(): layer.attributeAlias(i) for i, f in enumerate(fields)},
        "widget": {f.name(): layer.editorWidgetSetup(i).type() for i, f in enumerate(fields)},
        "title": metadata.title(),
        "abstract": metadata.abstract(),
        "history": list(metadata.history()),
        "shown": layer.htmlMetadata(),
        "crs": layer.crs().authid(),
        "temporal": [temporal.isActive(), temporal.startField(), temporal.fixedDuration()],
        "extent": layer.extent().toString(9),
    }


def look(path: str, layers: list[str]) -> dict[str, Any]:
    return {name: describe(vector(path, name)) for name in layers}


def style(qml: str) -> dict[str, Any]:
    """A style on a layer in memory that has a field of time."""
    layer = QgsVectorLayer("Polygon?field=rosgeo_score:double&field=rosgeo_status:string&field=seen:datetime", "x", "memory")
    message, fine = layer.loadNamedStyle(qml)
    return {**describe(layer), "fine": fine, "message": message}


def render(path: str, raster: str, layers: list[str], png: str, side: int, extent: list[float] | None = None) -> dict[str, Any]:
    """Draw layers over a raster, the first on top."""
    scene = QgsRasterLayer(raster, "scene")
    settings = QgsMapSettings()
    shown_layers = [*(vector(path, name) for name in layers), scene]  # QGIS keeps weak references
    settings.setLayers(shown_layers)
    settings.setDestinationCrs(scene.crs())
    shown = QgsRectangle(*extent) if extent else scene.extent()
    settings.setExtent(shown)
    settings.setOutputSize(QSize(side, round(side * shown.height() / shown.width())))
    settings.setOutputDpi(192)  # lines of several pixels, so that their colours are pure in the middle
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    assert job.renderedImage().save(png)
    return {"extent": [getattr(settings.visibleExtent(), f)() for f in ("xMinimum", "yMinimum", "xMaximum", "yMaximum")]}


def edit(path: str, row: int, wkt: str, new_wkt: str) -> dict[str, Any]:
    """As a person does: change the shape of one row, say of another that it is wrong, draw a new one; save."""
    layer = vector(path, "masks")
    layer.startEditing()
    features = list(layer.getFeatures())
    status = layer.fields().indexOf("rosgeo_status")
    chosen = next(f for f in features if f["rosgeo_id"] == row)
    assert layer.changeGeometry(chosen.id(), QgsGeometry.fromWkt(wkt))
    other = next(f for f in features if f["rosgeo_id"] == row + 1)
    assert layer.changeAttributeValue(other.id(), status, "rejected")
    # What the digitizing tools make: a feature with the layer's default values.
    assert layer.addFeature(QgsVectorLayerUtils.createFeature(layer, QgsGeometry.fromWkt(new_wkt)))
    assert layer.commitChanges(), layer.commitErrors()
    return {"rows": layer.featureCount(), "statuses": [str(f["rosgeo_status"]) for f in layer.getFeatures()]}


def remove(path: str, row: int) -> None:
    """As a person does: take a row away, and save."""
    layer = vector(path, "masks")
    layer.startEditing()
    assert layer.deleteFeature(next(f.id() for f in layer.getFeatures() if f["rosgeo_id"] == row))
    assert layer.commitChanges(), layer.commitErrors()


def hold(path: str, how: str) -> None:
    """Have a result open until standard input ends, as a person has.

    ``shown``: a layer in the project; ``editing``: in an edit session, with a change that is not saved; ``saved``: the change saved, and
    another session begun; ``done``: saved and ended; ``killed``: QGIS dies while it saves, with the change in the log.
    """
    layer = vector(path, "masks")
    features = list(layer.getFeatures())
    status = layer.fields().indexOf("rosgeo_status")
    if how != "shown":
        layer.startEditing()
        for feature in features:
            assert layer.changeAttributeValue(feature.id(), status, "corrected")
    if how == "saved":
        assert layer.commitChanges(), layer.commitErrors()
        assert layer.startEditing()
        assert layer.changeAttributeValue(features[0].id(), status, "rejected")
    elif how == "done":
        assert layer.commitChanges(), layer.commitErrors()
    elif how == "killed":
        # The connection that saves is still open when its signal comes.
        layer.dataProvider().enterUpdateMode()
        assert layer.dataProvider().changeAttributeValues({f.id(): {status: "corrected"} for f in features})
    print("ready", flush=True)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()


def draw(path: str, wkt: list[str], crs: str) -> dict[str, Any]:
    """As a person does: a new layer of polygons with or without a CRS, saved as a GeoPackage."""
    layer = QgsVectorLayer("Polygon", "drawn", "memory")
    layer.setCrs(QgsCoordinateReferenceSystem(crs) if crs else QgsCoordinateReferenceSystem())
    layer.startEditing()
    for text in wkt:
        assert layer.addFeature(QgsVectorLayerUtils.createFeature(layer, QgsGeometry.fromWkt(text)))
    assert layer.commitChanges(), layer.commitErrors()
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName = "GPKG", "drawn"
    failed = QgsVectorFileWriter.writeAsVectorFormatV3(layer, path, QgsProject.instance().transformContext(), options)
    assert failed[0] == QgsVectorFileWriter.NoError, failed
    return {"crs": layer.crs().authid()}


class Feedback(QgsProcessingFeedback):
    """Keeps what it is told; cancels when it is shown progress, where that is asked for."""

    def __init__(self, cancel: bool) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.percent: list[float] = []
        self.cancelled_at = 0.0
        self.progressChanged.connect(self.percent.append)
        self._cancel = cancel

    def setProgressText(self, text: str) -> None:  # noqa: N802
        self.lines.append(text)
        if self._cancel and not self.isCanceled():
            self.cancelled_at = time.monotonic()
            self.cancel()

    def pushInfo(self, info: str) -> None:  # noqa: N802
        self.lines.append(info)

    def pushWarning(self, warning: str) -> None:  # noqa: N802
        self.warnings.append(warning)

    def reportError(self, error: str, fatalError: bool = False) -> None:  # noqa: N802, N803
        self.errors.append(error)


def process(profile: str, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run the algorithm as the toolbox does: in a task of its own, the results opened at the end."""
    sys.path.append(os.path.join(QgsApplication.pkgDataPath(), "python", "plugins"))
    from processing.core.Processing import Processing

    Processing.initialize()
    algorithm = QgsApplication.processingRegistry().algorithmById("script:rosgeosegment")
    assert algorithm is not None, [a.id() for a in QgsApplication.processingRegistry().algorithms() if "script" in a.id()]
    return [_process(algorithm, **one) for one in runs]


def _process(
    algorithm: Any, parameters: dict[str, Any], boxes: str, select: list[int] | None = None, where: str = "", memory: bool = False,
    cancel: bool = False,
) -> dict[str, Any]:  # fmt: skip
    from processing.gui.Postprocessing import handleAlgorithmResults

    project = QgsProject.instance()
    project.removeAllMapLayers()
    path, _, name = boxes.partition("|layername=")
    layer = vector(path, name)
    if memory:
        layer = layer.materialize(__import__("qgis.core").core.QgsFeatureRequest())
    layer.setSubsetString(where)
    project.addMapLayer(layer)
    value: Any = layer.id()
    if select is not None:
        layer.selectByIds([f.id() for i, f in enumerate(layer.getFeatures()) if i in select])
        value = QgsProcessingFeatureSourceDefinition(layer.id(), True)
    given = {**parameters, "BOXES": value}
    context, feedback = QgsProcessingContext(), Feedback(cancel)
    context.setProject(project)
    fine, message = algorithm.checkParameterValues(given, context)
    if not fine:
        return {"refused": message}
    if "OUTPUT" in given:
        from qgis.core import QgsProcessingOutputLayerDefinition

        given["OUTPUT"] = QgsProcessingOutputLayerDefinition(given["OUTPUT"], project)
    outcome: dict[str, Any] = {}
    task = QgsProcessingAlgRunnerTask(algorithm, given, context, feedback)
    task.executed.connect(lambda success, results: outcome.update(success=success, results=results))
    QgsApplication.taskManager().addTask(task)
    while "success" not in outcome:
        QCoreApplication.processEvents()
        time.sleep(0.02)
    outcome["cancel_s"] = time.monotonic() - feedback.cancelled_at
    if outcome["success"]:
        outcome["opened"] = handleAlgorithmResults(algorithm, context, feedback)
    layers = [one for one in project.mapLayers().values() if one.id() != layer.id()]
    outcome["layers"] = {one.name(): {**describe(one), "source": one.source()} for one in layers}
    outcome["results"] = {key: str(v) for key, v in (outcome.get("results") or {}).items()}
    said = {"lines": feedback.lines, "errors": feedback.errors, "warnings": feedback.warnings, "percent": feedback.percent}
    return {**outcome, **said, "torch": "torch" in sys.modules}


def main() -> None:
    name, given, answer = sys.argv[1:]
    with open(given, encoding="utf-8") as file:
        arguments = json.load(file)
    QgsApplication.setPrefixPath(os.environ.get("QGIS_PREFIX_PATH", "/usr"), True)
    application = QgsApplication([], False, arguments.get("profile", ""))
    application.initQgis()
    assert QgsCoordinateReferenceSystem("EPSG:32633").isValid()
    result = globals()[name](**arguments)
    with open(answer, "w", encoding="utf-8") as file:
        json.dump(result, file)
    # Without exitQgis: objects that Python still holds would be freed twice.
    os._exit(0)


if __name__ == "__main__":
    main()
