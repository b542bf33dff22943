"""A base model made ready to be trained, and what is written of it afterwards."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from langchain_graft.errors import MissingExtraError, TrainingError
from langchain_graft.finetune_bridge.adapters.folder import check_folder, refused
from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora
from langchain_graft.finetune_bridge.adapters.manifest import Probe
from langchain_graft.finetune_bridge.training.generator_step import TrainableGenerator
from langchain_graft.finetune_bridge.training.processes import Processes
from langchain_graft.finetune_bridge.training.rows import PreferenceRow, ReflectionRow
from langchain_graft.finetune_bridge.training.sharding import spread_layers, spread_tensors
from langchain_graft.finetune_bridge.training.token_rows import (
    begin_token_rows,
    with_token_rows,
)
from langchain_graft.models.model_tokenizer import ModelTokenizer
from langchain_graft.models.torch_device import best_device, choose_dtype
from langchain_graft.models.transformers_weights import find_weights, load_weights

try:
    import torch
    from peft import LoraConfig, get_peft_model
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.finetune_bridge.adapters.config import AdapterConfig
    from langchain_graft.finetune_bridge.training.rows import GeneratorRow
    from langchain_graft.finetune_bridge.training.settings import GeneratorSettings

_FORWARD_TOKENS = {"cuda": 16384}
_FORWARD_TOKENS_ELSEWHERE = 2048
_PROBES, _PROBE_TOKENS = 2, 5
_PROBABLE = -4.0
"""Natural logarithm: what is less probable is too far off in other numbers to tell anything."""
_HF = "hf:"


@dataclass(frozen=True)
class TrainableBase:
    """A base model made ready to be trained."""

    model: Any
    tokenizer: ModelTokenizer
    digest: str
    step: TrainableGenerator


def load_trainable(
    settings: GeneratorSettings,
    processes: Processes = Processes(),  # noqa: B008 (frozen)
) -> TrainableBase:
    """The base, with low-rank products, which alone are trained; or all of it.

    Args:
        settings: Of the run.
        processes: Those that train together.

    Raises:
        ModelError: It can not be loaded.
        AdapterRefusedError: What it starts from is not what may be loaded.
        TrainingError: No layer is called as `target_modules` says.
    """
    device = processes.device(settings.device or best_device())
    numbers = _numbers(settings, device)
    is_full = settings.method == "full"
    if processes.sharding and settings.method != "lora":
        msg = (
            f"The method {settings.method!r} is not spread over processes, 'lora' is. Launch it "
            "without FSDP and DeepSpeed: each process then has a whole base, and a share of a step"
        )
        raise ValueError(msg)
    weights = find_weights(settings.base.removeprefix(_HF))
    model, fast, digest = load_weights(
        weights,
        device="cpu" if processes.sharding else device,
        dtype=torch.float32 if is_full else numbers,
        quantization="nf4" if settings.method == "qlora" else None,
    )
    if processes.sharding == "zero3":
        spread_tensors(model, device=device)
    tokenizer = ModelTokenizer(fast, name=weights.name)
    model = model if is_full else _with_lora(model, settings, tokenizer)
    if is_full:
        model.requires_grad_(True)  # noqa: FBT003 (torch's signature)
    if processes.sharding == "fsdp2":
        spread_layers(model, processes, device=device)
    if settings.gradient_checkpointing:
        model.enable_input_require_grads()
        model.activation_checkpointing_enable({"use_reentrant": False})
    most = _FORWARD_TOKENS.get(torch.device(device).type, _FORWARD_TOKENS_ELSEWHERE)
    step = TrainableGenerator(model, numbers=numbers, most_tokens=most, processes=processes)
    return TrainableBase(model, tokenizer, digest, step)


def save_trained(base: TrainableBase, settings: GeneratorSettings, folder: Path) -> None:
    """Write a plain PEFT folder; of `full` a model's."""
    if settings.method == "full":
        base.model.save_pretrained(folder)
        base.tokenizer.fast.save_pretrained(folder)
        return
    base.model.peft_config["default"].base_model_name_or_path = settings.base
    base.model.save_pretrained(folder, save_embedding_layers=False)


def check_trainable(settings: GeneratorSettings, rows: Sequence[object]) -> None:
    """Refuse what can not be trained before anything is loaded."""
    if not rows:
        msg = "There are no rows; better give hundreds"
        raise ValueError(msg)
    scheme, _, _ = settings.base.partition(":")
    if ":" in settings.base and scheme != _HF[:-1]:
        msg = f"base is {settings.base!r}; only 'hf:...' models have weights that are trained here"
        raise ValueError(msg)
    if settings.lora.use_dora and settings.method != "full":
        warnings.warn(
            "An adapter with use_dora is no low-rank product: it can not be served hot. Export it "
            "merged, or train with use_rslora instead",
            stacklevel=5,
        )


def _numbers(settings: GeneratorSettings, device: str) -> torch.dtype:
    numbers = choose_dtype(settings.dtype, device)
    if numbers == torch.float16:  # its slopes underflow
        if settings.dtype:
            msg = "dtype is 'float16', whose slopes underflow. Train in 'bfloat16' or 'float32'"
            raise ValueError(msg)
        return torch.float32
    return numbers


def _with_lora(model: Any, settings: GeneratorSettings, tokenizer: ModelTokenizer) -> Any:
    started = check_folder(Path(settings.start)).config if settings.start else None
    if settings.start and started is None:
        raise refused(Path(settings.start), "it is a map of a query's vector, no LoRA")
    torch.manual_seed(settings.seed)
    config = _lora_config(settings, started)
    rows = {token: tokenizer.ids(words) for token, words in settings.lora.token_rows}
    if rows:
        config = with_token_rows(config, model, count=len(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations among libraries
        try:
            model = get_peft_model(model, config)
        except ValueError as error:
            msg = f"LoRA can not be put into {settings.base!r}: {error}"
            raise TrainingError(msg, folder=settings.out) from error
    if rows:
        begin_token_rows(model, rows)
    if started is not None:
        _put_pairs(model, settings, started)
    return model


def _lora_config(settings: GeneratorSettings, started: AdapterConfig | None) -> LoraConfig:
    """What is asked for; of an adapter that is trained further, what it has."""
    lora = started or settings.lora
    alpha = started.lora_alpha if started else settings.lora.alpha
    targets = lora.target_modules or "all-linear"
    patterns: dict[str, Any] = {}
    if started:
        patterns = {
            "rank_pattern": dict(started.rank_pattern),
            "alpha_pattern": dict(started.alpha_pattern),
        }
    return LoraConfig(
        r=lora.r,
        lora_alpha=cast("int", alpha),  # PEFT divides it: a float is right
        lora_dropout=settings.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_rslora=lora.use_rslora,
        use_dora=settings.lora.use_dora,
        task_type="CAUSAL_LM",
        **patterns,
    )


@torch.no_grad()
def _put_pairs(model: Any, settings: GeneratorSettings, started: AdapterConfig) -> None:
    """Begin with the products of the adapter that is trained further."""
    pairs = read_lora(Path(settings.start or ""), expected=None)
    layers = {
        name: layer
        for name, layer in model.get_base_model().named_modules()
        if hasattr(layer, "lora_A")
    }
    if pairs.keys() != layers.keys():
        odd = sorted(pairs.keys() ^ layers.keys())
        msg = (
            f"The adapter {settings.start!r} does not go with {settings.base!r}: {len(odd)} layers "
            f"are in one of them only, such as {odd[0]!r}. Start from an adapter of that base"
        )
        raise TrainingError(msg, folder=settings.out)
    for name, layer in layers.items():
        layer.lora_A["default"].weight.copy_(pairs[name].a)
        layer.lora_B["default"].weight.copy_(pairs[name].b / started.scaling_of(name))


def probes_of(
    base: TrainableBase,
    settings: GeneratorSettings,
    rows: Sequence[GeneratorRow | PreferenceRow | ReflectionRow],
) -> tuple[Probe, ...]:
    """What it answers now; over a base in 4 bits it will be served by another one."""
    if settings.method == "qlora":
        return ()
    asked = (_asked(base.tokenizer, row) for row in rows)
    return tuple(_probe(base, prompt) for prompt in islice(filter(None, asked), _PROBES))


def _asked(
    tokenizer: ModelTokenizer, row: GeneratorRow | PreferenceRow | ReflectionRow
) -> str | None:
    """The prompt of a row; None: its reply is the first word."""
    if isinstance(row, ReflectionRow):
        return row.question
    messages = row.prompt if isinstance(row, PreferenceRow) else row.messages[:-1]
    return tokenizer.chat_prompt(messages) if messages else None


def _probe(base: TrainableBase, prompt: str) -> Probe:
    scores, ids = base.step.next_logprobs(base.tokenizer.prompt_ids(prompt)).topk(_PROBE_TOKENS)
    told = [(i, score) for i, score in zip(ids.tolist(), scores.tolist(), strict=True)]
    told = [pair for n, pair in enumerate(told) if n == 0 or pair[1] > _PROBABLE]
    return Probe(
        prompt=prompt,
        token_ids=tuple(i for i, _ in told),
        logprobs=tuple(score for _, score in told),
    )
