from .clip import check_clip_preview as check_clip_preview
from .clip import write_clip_preview as write_clip_preview
from .plotting import plot as plot
from .preview import check_preview as check_preview
from .preview import draw_preview as draw_preview
from .webmap import view as view

__all__ = ["check_clip_preview", "check_preview", "draw_preview", "plot", "view", "write_clip_preview"]
