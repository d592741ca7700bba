"""Processes that are forked after a model has run: the threads of PyTorch's pool are not copied with them."""

from __future__ import annotations

import os

import torch

__all__ = ["survive_forks"]

_registered = False


def survive_forks() -> None:
    """See to it that a child of this process, forked from now on, does not wait for threads that it does not have.

    Its share of PyTorch runs in the one thread that it has. Does nothing where there is no fork. Called by whoever runs a model.

    Notes
    -----
    OpenMP's pool belongs to the process that made it (pytorch/pytorch#17199): a parallel part in a forked child waits for ever. With
    one thread there is no parallel part. CUDA does not survive a fork at all, which `choose_device` says.
    """
    global _registered
    if not _registered and hasattr(os, "register_at_fork"):
        _registered = True
        os.register_at_fork(after_in_child=_one_thread)


def _one_thread() -> None:
    torch.set_num_threads(1)
