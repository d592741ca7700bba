"""What ``rosgeo segment`` writes beside its layer: mask raster, picture, STAC item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rosgeo.run.options import SegmentOptions
    from rosgeo.run.pipeline import SegmentRun

__all__ = ["Beside"]


@dataclass(frozen=True)
class Beside:
    """Files beside the layer.

    Attributes
    ----------
    targets : list of str
        The layer's own files, the main one first.
    mask_raster, preview : str or None
        None where it was not asked for.
    mask_values : {"mask", "row"}
    stac : bool
        An item is asked for.
    scene_time : str or None
        For the item.
    """

    targets: list[str]
    mask_raster: str | None
    mask_values: Literal["mask", "row"]
    preview: str | None
    stac: bool
    scene_time: str | None

    @property
    def item(self) -> str | None:
        """Path of the STAC item."""
        main = Path(self.targets[0])
        return str(main.with_name(f"{main.stem}.stac.json")) if self.stac and main.name else None

    @property
    def titled(self) -> dict[str, str]:
        """The files that are written, by what they are."""
        named = {"Mask raster": self.mask_raster, "Picture": self.preview, "STAC item": self.item}
        return {title: path for title, path in named.items() if path is not None}

    def check(self, scenes: Sequence[str], boxes: str, *, overwrite: bool) -> None:
        """Find out before any work what cannot be written; raises OutputError and OptionError."""
        from rosgeo.vector.layers.names import file_of

        if len(scenes) > 1 and self.titled:
            from rosgeo.errors import OptionError

            what = ", ".join(title.lower() if title != "STAC item" else title for title in self.titled)
            raise OptionError(
                f"{what}: of one scene, and {len(scenes)} were given. Leave it out, or give one scene, as a VRT of all"
            )
        scene = scenes[0]
        inputs = (*scenes, file_of(boxes), *self.targets)
        if self.preview is not None:
            from rosgeo.pictures.preview import check_preview

            check_preview(self.preview, overwrite=overwrite, inputs=inputs)
        if self.mask_raster is not None:
            from rosgeo.outputs.mask_raster import check_mask_raster

            check_mask_raster(self.mask_raster, overwrite=overwrite, inputs=inputs)
        if self.item is not None:
            from rosgeo.outputs.stac import check_stac

            check_stac(scene, self.item, self.scene_time, overwrite=overwrite, inputs=inputs)
        elif self.scene_time is not None:
            from rosgeo.errors import OptionError

            raise OptionError("--datetime is of a STAC item; add --stac, or leave it out")

    def write(self, scene: str, run: SegmentRun, options: SegmentOptions) -> None:
        """Write them, the item last."""
        if self.mask_raster is not None:
            from rosgeo.outputs.mask_raster import write_mask_raster

            write_mask_raster(scene, run.result, self.mask_raster, values=self.mask_values, record=run.record, reading=run.reading)
        if self.preview is not None:
            from rosgeo.pictures.preview import draw_preview
            from rosgeo.raster.bands import parse_stretch

            draw_preview(scene, run, self.preview, bands=options.bands, stretch=parse_stretch(options.stretch))
        if self.item is not None:
            from rosgeo.outputs.stac import write_stac

            write_stac(
                self.item,
                scene,
                run.record,
                outlines=self.targets,
                scene_time=self.scene_time,
                reading=run.reading,
                mask_raster=self.mask_raster,
                preview=self.preview,
            )

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "output": self.targets[0],
            "outputs": self.targets,
            "preview": self.preview,
            "mask_raster": self.mask_raster,
            "stac": self.item,
        }
