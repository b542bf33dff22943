"""Generator adapters: a chat model learns to answer as conversations show it."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from langchain_graft.errors import MissingExtraError, TrainingError
from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest, Probe
from langchain_graft.finetune_bridge.training.chat_rows import ChatEncoder, pack
from langchain_graft.finetune_bridge.training.examination import (
    examine_chats,
    examine_layers,
    refuse_what_is_hopeless,
)
from langchain_graft.finetune_bridge.training.generator_step import TrainableGenerator
from langchain_graft.finetune_bridge.training.generator_training import GeneratorTask
from langchain_graft.finetune_bridge.training.loop import TrainingLoop, draws_and_threads_of
from langchain_graft.finetune_bridge.training.rows import digest_of_rows, split_rows
from langchain_graft.finetune_bridge.training.run import open_run
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
    from pathlib import Path

    from langchain_graft.finetune_bridge.training.chat_rows import ChatTokens
    from langchain_graft.finetune_bridge.training.rows import GeneratorRow
    from langchain_graft.finetune_bridge.training.run import TrainingRun
    from langchain_graft.finetune_bridge.training.settings import GeneratorSettings
    from langchain_graft.finetune_bridge.training.trained_adapter import (
        OnTrainProgress,
        TrainedAdapter,
        TrainProgress,
    )

_FORWARD_TOKENS = {"cuda": 16384}
_FORWARD_TOKENS_ELSEWHERE = 2048
_PROBES, _PROBE_TOKENS = 2, 5
_PROBABLE = -4.0
"""Natural logarithm: what is less probable is too far off in other numbers to tell anything."""
_HF = "hf:"


def train_generator(
    settings: GeneratorSettings,
    rows: Sequence[GeneratorRow],
    *,
    on_progress: OnTrainProgress | None = None,
) -> TrainedAdapter:
    """Train an adapter under which a chat model answers as conversations show it.

    What the assistant says is learned, with the token that ends its turn; all else is read, in
    exactly the tokens of a request (`ChatEncoder`). The same call goes on from the newest
    checkpoint after it was stopped, and finds what came out after it was done. Rows that do not fit
    into `max_tokens` are left out, which a warning and the report's `left_out` tell.

    `qlora` keeps the base in 4 bits (NF4, Dettmers et al., arXiv 2305.14314), for what would not
    fit otherwise. With `full`, and with DoRA, what comes out is no low-rank product and can not be
    served hot: of `full` it is a model's folder, for `load_chat_model("hf:FOLDER")`.

    Args:
        settings: What to train, on which base, and where.
        rows: Conversations.
        on_progress: Told after each step.

    Raises:
        TrainingError: The folder is another run's, the doctor found what would make it useless, the
            loss is no number, the disk or the memory is full, or it was interrupted; checkpoints
            stay usable.
        ModelError: The base can not be loaded, or has no chat template.
        ValueError: No row fits, the rows can not be split, or the base can not be trained so.
    """
    _check(settings, rows)
    tell = on_progress or _tell_nobody
    with open_run(settings, data_digest=digest_of_rows(rows)) as run:
        if done := run.finished():
            return done
        with draws_and_threads_of(settings):
            return _train(settings, rows, run, tell)


@dataclass(frozen=True)
class TrainableBase:
    """A base model made ready to be trained."""

    model: Any
    tokenizer: ModelTokenizer
    digest: str
    step: TrainableGenerator


def load_trainable(settings: GeneratorSettings) -> TrainableBase:
    """The base, with new low-rank products, which alone are trained; or all of it.

    Raises:
        ModelError: It can not be loaded.
        TrainingError: No layer is called as `target_modules` says.
    """
    device = settings.device or best_device()
    numbers = _numbers(settings, device)
    is_full = settings.method == "full"
    weights = find_weights(settings.base.removeprefix(_HF))
    model, fast, digest = load_weights(
        weights,
        device=device,
        dtype=torch.float32 if is_full else numbers,
        quantization="nf4" if settings.method == "qlora" else None,
    )
    model = model if is_full else _with_lora(model, settings)
    if is_full:
        model.requires_grad_(True)  # noqa: FBT003 (torch's signature)
    if settings.gradient_checkpointing:
        model.enable_input_require_grads()
        model.activation_checkpointing_enable({"use_reentrant": False})
    most = _FORWARD_TOKENS.get(torch.device(device).type, _FORWARD_TOKENS_ELSEWHERE)
    step = TrainableGenerator(model, numbers=numbers, most_tokens=most)
    tokenizer = ModelTokenizer(fast, name=weights.name)
    return TrainableBase(model, tokenizer, digest, step)


def _train(
    settings: GeneratorSettings,
    rows: Sequence[GeneratorRow],
    run: TrainingRun,
    tell: OnTrainProgress,
) -> TrainedAdapter:
    started = time.monotonic()
    learned, held = _learned_and_held(rows, settings)
    base = load_trainable(settings)
    encoder = ChatEncoder(base.tokenizer, assistant_only=settings.assistant_only)
    findings = examine_chats(learned, encoder, base.tokenizer)
    if settings.method != "full":
        findings.append(examine_layers(base.model, settings.lora.target_modules))
    refuse_what_is_hopeless(findings, folder=settings.out)
    kept, left_out = _encoded(encoder, learned, settings)
    judged, more_left_out = _encoded(encoder, held, settings)
    if not kept:
        msg = f"None of {len(rows)} rows fits into max_tokens={settings.max_tokens}. Raise it"
        raise ValueError(msg)
    if settings.packing == "bfd":
        kept = pack(kept, max_tokens=settings.max_tokens)
    task = GeneratorTask(settings, base.step, kept, judged)
    loop = TrainingLoop(settings, run, tell, task, findings=findings)
    loop.train()
    run.write_adapter(partial(save_trained, base, settings))
    report = loop.report(time.monotonic() - started, left_out=left_out + more_left_out)
    manifest = AdapterManifest(
        kind="generator",
        base=settings.base,
        base_digest=base.digest,
        tokenizer_digest=base.tokenizer.digest,
        data_digest=digest_of_rows(rows),
        settings=settings.to_json(),
        metrics=dict(report.metrics),
        probe=_probes(base, settings, held or learned),
    )
    return run.finish(manifest, report)


def save_trained(base: TrainableBase, settings: GeneratorSettings, folder: Path) -> None:
    """Write a plain PEFT folder; of `full` a model's."""
    if settings.method == "full":
        base.model.save_pretrained(folder)
        base.tokenizer.fast.save_pretrained(folder)
        return
    base.model.peft_config["default"].base_model_name_or_path = settings.base
    base.model.save_pretrained(folder, save_embedding_layers=False)


def _check(settings: GeneratorSettings, rows: Sequence[GeneratorRow]) -> None:
    if not rows:
        msg = "There are no rows; give conversations, better hundreds"
        raise ValueError(msg)
    scheme, _, _ = settings.base.partition(":")
    if ":" in settings.base and scheme != _HF[:-1]:
        msg = f"base is {settings.base!r}; only 'hf:...' models have weights that are trained here"
        raise ValueError(msg)
    if settings.lora.use_dora and settings.method != "full":
        warnings.warn(
            "An adapter with use_dora is no low-rank product: it can not be served hot. Export it "
            "merged, or train with use_rslora instead",
            stacklevel=3,
        )


def _numbers(settings: GeneratorSettings, device: str) -> torch.dtype:
    numbers = choose_dtype(settings.dtype, device)
    if numbers == torch.float16:  # its slopes underflow
        if settings.dtype:
            msg = "dtype is 'float16', whose slopes underflow. Train in 'bfloat16' or 'float32'"
            raise ValueError(msg)
        return torch.float32
    return numbers


def _with_lora(model: Any, settings: GeneratorSettings) -> Any:
    lora = settings.lora
    targets = lora.target_modules
    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=cast("int", lora.alpha),  # PEFT divides it: a float is right
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_rslora=lora.use_rslora,
        use_dora=lora.use_dora,
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations among libraries
        try:
            return get_peft_model(model, config)
        except ValueError as error:
            msg = f"LoRA can not be put into {settings.base!r}: {error}"
            raise TrainingError(msg, folder=settings.out) from error


def _learned_and_held(
    rows: Sequence[GeneratorRow], settings: GeneratorSettings
) -> tuple[list[GeneratorRow], list[GeneratorRow]]:
    """Of too few rows none is held out."""
    if settings.eval_share * len(rows) < 1:
        return list(rows), []
    return split_rows(rows, share=settings.eval_share, seed=settings.seed)


def _encoded(
    encoder: ChatEncoder, rows: Sequence[GeneratorRow], settings: GeneratorSettings
) -> tuple[list[ChatTokens], int]:
    found = encoder.encode(rows, max_tokens=settings.max_tokens)
    if found.too_long:
        warnings.warn(
            f"{len(found.too_long)} of {len(rows)} conversations do not fit into max_tokens="
            f"{settings.max_tokens} and are left out; the first: {rows[found.too_long[0]]!r:.200}",
            stacklevel=4,
        )
    return found.sequences, len(found.too_long)


def _probes(
    base: TrainableBase, settings: GeneratorSettings, rows: Sequence[GeneratorRow]
) -> tuple[Probe, ...]:
    """What it answers now; over a base in 4 bits it will be served by another one."""
    if settings.method == "qlora":
        return ()
    asked = [row for row in rows if len(row.messages) > 1]
    return tuple(_probe(base, row) for row in asked[:_PROBES])


def _probe(base: TrainableBase, row: GeneratorRow) -> Probe:
    prompt = base.tokenizer.chat_prompt(row.messages[:-1])
    scores, ids = base.step.next_logprobs(base.tokenizer.prompt_ids(prompt)).topk(_PROBE_TOKENS)
    told = [(i, score) for i, score in zip(ids.tolist(), scores.tolist(), strict=True)]
    told = [pair for n, pair in enumerate(told) if n == 0 or pair[1] > _PROBABLE]
    return Probe(
        prompt=prompt,
        token_ids=tuple(i for i, _ in told),
        logprobs=tuple(score for _, score in told),
    )


def _tell_nobody(progress: TrainProgress) -> None:
    pass
