"""A process that is forked after a model has run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rosgeo.errors import DeviceError
from rosgeo.inference.device import choose_device

POOL = """
import multiprocessing as mp, sys, torch
from rosgeo.inference.predict import Segmenter
from rosgeo.model.registry import open_model

segmenter = Segmenter(open_model(sys.argv[1]), device="cpu", precision="float32")
images, boxes = torch.rand(2, 3, 56, 56), torch.tensor([[4.0, 4, 40, 40]] * 2)

def sums(_):
    # Large enough for the pool of threads.
    return float((torch.rand(1500, 1500) @ torch.rand(1500, 1500)).sum() > 0)

torch.set_num_threads(2)
assert sums(0) == 1.0
pool = mp.get_context("fork").Pool(2)
print(pool.map_async(sums, range(4)).get(60))
pool.terminate()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_pool_of_forked_processes_does_not_wait_for_ever(tiny_model: Path) -> None:
    done = subprocess.run([sys.executable, "-c", POOL, str(tiny_model)], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[1.0, 1.0, 1.0, 1.0]", done.stderr[-800:]


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_fork_that_cannot_use_cuda_says_spawn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    with pytest.raises(DeviceError, match=r"get_context\('spawn'\)"):
        choose_device(name)
