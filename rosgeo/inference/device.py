"""Where and in which precision the model runs."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Literal

import torch

from rosgeo.errors import DeviceError, OptionError

__all__ = ["Precision", "choose_device", "choose_precision", "cpu_has_bf16"]

Precision = Literal["auto", "float32", "bf16"]


def choose_device(name: str) -> torch.device:
    """The device of a name.

    Parameters
    ----------
    name : str
        ``auto`` (CUDA, else MPS, else CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises
    ------
    OptionError
        No such kind of device.
    DeviceError
        This machine has none, or PyTorch was built without it.
    """
    if name == "auto":
        if torch.cuda.is_available():
            _require_no_fork("auto")
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise OptionError(f"device {name!r}: expected auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda":
        _require_no_fork(name)
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            reason = "PyTorch was built without CUDA" if torch.version.cuda is None else f"PyTorch sees {count} CUDA devices"
            raise DeviceError(f"device {name!r} was asked for, but {reason}. Use --device auto or cpu.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' was asked for, but this machine has no Metal GPU. Use --device auto or cpu.")
    return device


def _require_no_fork(name: str) -> None:
    """Raise in a process that was forked after its parent used CUDA, which no child can use then."""
    forked: Callable[[], bool] = getattr(torch.cuda, "_is_in_bad_fork", bool)
    if forked():
        raise DeviceError(
            f"device {name!r}: this process was forked after its parent had used CUDA, which it cannot go on with. Start processes with "
            "multiprocessing.get_context('spawn'), or use --device cpu"
        )


def cpu_has_bf16() -> bool:
    """True where the processor multiplies bfloat16 in hardware; elsewhere it is emulated, hundreds of times slower than float32."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities:
        return any(capabilities.get(key, False) for key in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
    if platform.system() == "Linux":
        try:
            with open("/proc/cpuinfo", encoding="ascii", errors="ignore") as file:
                flags = file.read()
        except OSError:
            return False
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return False


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """The type of the model's activations.

    Parameters
    ----------
    precision : {"auto", "float32", "bf16"}
        ``auto``: bfloat16 where `device` has it in hardware, else float32.
    device : torch.device

    Raises
    ------
    OptionError
        Another name.
    """
    if precision == "float32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    if precision != "auto":
        raise OptionError(f"precision {precision!r}: expected auto, float32 or bf16")
    if device.type == "cpu":
        return torch.bfloat16 if cpu_has_bf16() else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float32
    return torch.float32
