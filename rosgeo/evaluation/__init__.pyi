from .comparison import Comparison as Comparison
from .comparison import OutlineSet as OutlineSet
from .comparison import compare_outlines as compare_outlines
from .layer_outlines import OutlineLayer as OutlineLayer
from .layers import LayerComparison as LayerComparison
from .layers import compare_layers as compare_layers
from .metrics import Scores as Scores
from .metrics import boundary_iou as boundary_iou
from .metrics import mask_iou as mask_iou
from .scoring import Evaluation as Evaluation
from .scoring import Pipeline as Pipeline
from .scoring import evaluate as evaluate
from .scoring import pipeline_ablation as pipeline_ablation

__all__ = [
    "Comparison",
    "Evaluation",
    "LayerComparison",
    "OutlineLayer",
    "OutlineSet",
    "Pipeline",
    "Scores",
    "boundary_iou",
    "compare_layers",
    "compare_outlines",
    "evaluate",
    "mask_iou",
    "pipeline_ablation",
]
