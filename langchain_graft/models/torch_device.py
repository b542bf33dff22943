"""Where torch computes, and in which numbers."""

from __future__ import annotations

from langchain_graft.errors import MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("hf") from error

_BFLOAT16 = ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16")


def best_device() -> str:
    """The fastest device there is."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_dtype(device: str) -> torch.dtype:
    """The fastest numbers that are safe on a device: bf16 where it is multiplied, else fp32."""
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    capabilities = torch.cpu.get_capabilities() if device == "cpu" else {}
    fast = any(capabilities.get(name) for name in _BFLOAT16)
    return torch.bfloat16 if fast else torch.float32
