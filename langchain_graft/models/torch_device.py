"""Where torch computes, in which numbers, and with how many threads."""

from __future__ import annotations

import logging
import threading

from langchain_graft.errors import MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("hf") from error

DTYPES = ("float32", "bfloat16", "float16")
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16")
_counting = threading.Lock()
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(
    lambda record: "gemm_4bit_forward" not in record.msg  # a faster way for 4 bits; nobody asked
)


def best_device() -> str:
    """The fastest device there is."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_dtype(name: str | None, device: str) -> torch.dtype:
    """The numbers of that name.

    Args:
        name: One of `DTYPES`; None: the fastest that are safe on the device, bf16 where it is
            multiplied, else fp32.
        device: "cpu", "cuda", "mps".

    Raises:
        ValueError: There are no such numbers.
    """
    if name is None:
        return _fastest(device)
    if name not in DTYPES:
        msg = f"dtype must be one of {', '.join(DTYPES)}, not {name!r}"
        raise ValueError(msg)
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _fastest(device: str) -> torch.dtype:
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    capabilities = torch.cpu.get_capabilities() if device == "cpu" else {}
    fast = any(capabilities.get(name) for name in _BFLOAT16)
    return torch.bfloat16 if fast else torch.float32


def compute_with(threads: int) -> None:
    """Let torch compute with so many threads in the calling thread, and in no other.

    What torch is told in one thread holds for all that begin later as well: that is put back at
    once.
    """
    with _counting:
        others = torch.get_num_threads()  # asked first: what is set before that, torch forgets
        torch.set_num_threads(threads)
        restoring = threading.Thread(target=torch.set_num_threads, args=(others,))
        restoring.start()
        restoring.join()
