"""A base's frozen weights spread over processes, for what does not fit into one graphics card.

A layer is put together for its forward, and for its slopes, and let go of again. What is trained is
whole in each process, so that steps, checkpoints and what is saved are those of a single one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError

try:
    import torch
    from accelerate.utils import FullyShardedDataParallelPlugin
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from langchain_graft.finetune_bridge.training.processes import Processes

_FSDP, _ZERO = 2, "3"


def spread_layers(model: Any, processes: Processes, *, device: str) -> None:
    """Have each process keep its part of every layer (FSDP2; Zhao et al., arXiv 2304.11277).

    Embeddings and the head stay whole.

    Args:
        model: A causal language model on the processor, or PEFT's of it.
        processes: Those that share it.
        device: Where it goes, layer by layer.

    Raises:
        ValueError: The launcher asks for what is not done here, or the model does not say what
            its layers are.
    """
    plugin = FullyShardedDataParallelPlugin()  # reads what `accelerate launch` says
    if plugin.fsdp_version != _FSDP or isinstance(plugin.cpu_offload, CPUOffloadPolicy):
        msg = (
            f"fsdp_version is {plugin.fsdp_version!r} and cpu_offload {plugin.cpu_offload!r}; "
            "expected 2 and no offloading, as in finetune_bridge/training/accelerate/fsdp2.yaml"
        )
        raise ValueError(msg)
    causal = model.get_base_model()
    kinds = set(getattr(causal, "_no_split_modules", None) or ())
    layers = [one for one in causal.modules() if type(one).__name__ in kinds]
    if not layers:
        msg = f"{type(causal).__name__} does not say what its layers are. Launch it without FSDP"
        raise ValueError(msg)
    mesh = init_device_mesh(torch.device(device).type, (processes.count,))
    for layer in layers:
        trained = {one for one in layer.parameters() if one.requires_grad}
        again = plugin.reshard_after_forward
        fully_shard(layer, mesh=mesh, reshard_after_forward=again, ignored_params=trained)
    model.to(device)


def spread_tensors(model: Any, *, device: str) -> None:
    """Have each process keep its part of every tensor, by DeepSpeed.

    ZeRO-3 (Rajbhandari et al., arXiv 1910.02054), of weights only: nothing else is large here.

    Args:
        model: A causal language model, before low-rank products are put into it, which stay whole.
        device: Where it goes.

    Raises:
        ValueError: The launcher asks for another stage or for offloading, or DeepSpeed is not
            installed.
    """
    _check_deepspeed()
    try:
        import deepspeed  # noqa: PLC0415 (no extra brings it)
        from deepspeed.runtime.zero.parameter_offload import DeepSpeedZeRoOffload  # noqa: PLC0415
        from deepspeed.utils.timer import NoopTimer  # noqa: PLC0415
    except ImportError as error:
        msg = "DeepSpeed is not installed: pip install deepspeed, or launch it with fsdp2.yaml"
        raise ValueError(msg) from error
    deepspeed.init_distributed("nccl" if device.startswith("cuda") else "gloo")
    settings = {"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 3}}
    model.requires_grad_(False)  # noqa: FBT003 (torch's signature)
    DeepSpeedZeRoOffload(model, timers=NoopTimer(), ds_config=settings, zenflow=False)


def _check_deepspeed() -> None:
    """What `accelerate launch` tells by environment variables."""
    stage = os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE")
    parts = ("PARAM", "OPTIMIZER")
    told = [os.environ.get(f"ACCELERATE_DEEPSPEED_OFFLOAD_{part}_DEVICE") for part in parts]
    offloaded = [device for device in told if device not in (None, "", "none")]
    if stage != _ZERO or offloaded:
        msg = (
            f"zero_stage is {stage!r}, with offloading to {offloaded!r}; expected {_ZERO} and no "
            "offloading, as in finetune_bridge/training/accelerate/zero3.yaml"
        )
        raise ValueError(msg)
