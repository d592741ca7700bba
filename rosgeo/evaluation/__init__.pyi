from .metrics import Scores as Scores
from .metrics import boundary_iou as boundary_iou
from .metrics import mask_iou as mask_iou
from .scoring import Evaluation as Evaluation
from .scoring import Pipeline as Pipeline
from .scoring import evaluate as evaluate
from .scoring import pipeline_ablation as pipeline_ablation

__all__ = ["Evaluation", "Pipeline", "Scores", "boundary_iou", "evaluate", "mask_iou", "pipeline_ablation"]
