from .boxes import BoxLayer as BoxLayer
from .boxes import read_box_layer as read_box_layer
from .read import read_boxes as read_boxes
from .write import check_outputs as check_outputs
from .write import read_record as read_record
from .write import read_written as read_written
from .write import write_result as write_result
from .write import write_results as write_results

__all__ = [
    "BoxLayer",
    "check_outputs",
    "read_box_layer",
    "read_boxes",
    "read_record",
    "read_written",
    "write_result",
    "write_results",
]
