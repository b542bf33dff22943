"""An adapter out of the store: as PEFT's folder, as vLLM wants it, or merged into its base."""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import (
    AdapterError,
    AdapterMismatchError,
    MissingExtraError,
    ModelError,
)
from langchain_graft.finetune_bridge.adapters.folder import (
    CONFIG,
    WEIGHTS,
    check_folder,
    copy_file,
    matrix_name,
    plain_name,
    refused,
)
from langchain_graft.finetune_bridge.adapters.lora_layers import LoraPair, linear_shapes
from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora
from langchain_graft.finetune_bridge.adapters.servability import highest_rank, is_plain, servability

try:
    import torch
    from safetensors.torch import load_file, save_file
    from torch.nn.functional import pad
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_graft.finetune_bridge.adapters.config import AdapterConfig
    from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
    from langchain_graft.finetune_bridge.adapters.ref import AdapterRef
    from langchain_graft.finetune_bridge.adapters.store import AdapterStore

_DTYPES = {one: getattr(torch, one) for one in ("float32", "bfloat16", "float16")}


def export_peft(store: AdapterStore, ref: AdapterRef, target: Path) -> Path:
    """Write an adapter as the folder that PEFT loads: its files as they came.

    Only where its matrices have other names than PEFT gives them, which PEFT would pass over, they
    get those.

    Args:
        store: Where it is.
        ref: Which one.
        target: A new or an empty folder.

    Returns:
        The folder.

    Raises:
        AdapterNotFoundError: There is none.
        AdapterRefusedError: A file is not the one that its manifest names.
        AdapterError: The target holds something, or can not be written.
    """
    with store.lease(ref), _new_folder(target, ref) as folder:
        for name in (CONFIG, WEIGHTS):
            _copy(store, ref, name, folder)
    return target


def export_vllm(store: AdapterStore, ref: AdapterRef, target: Path, *, served_name: str) -> Path:
    """Write an adapter as vLLM loads it; SGLang and llama.cpp's converter take the same folder.

    Its configuration says plainly what is in it. Where layers have ranks or alphas of their own, or
    alpha is divided by a root, which these servers pass over, the scaling is written into the
    matrices, which are filled up with zeros to one rank: the product is the same.

    Args:
        store: Where it is.
        ref: Which one.
        target: A new or an empty folder; vLLM wants an absolute path, and only to read it.
        served_name: What `vllm serve` was started with; its resolver compares the very text.

    Returns:
        The folder.

    Raises:
        AdapterNotFoundError: There is none.
        AdapterRefusedError: A file is not the one that its manifest names.
        AdapterError: vLLM does not serve it, or the target can not be written.
    """
    with store.lease(ref):
        manifest = store.manifest(ref)
        config = check_folder(store.path(ref)).config
        vllm = next(row for row in servability(manifest, config) if row.where == "vLLM")
        if config is None or not vllm.served:
            msg = f"vLLM does not serve {str(ref)!r}: {vllm.why}"
            raise AdapterError(msg, adapter=str(ref))
        pairs = read_lora(store.path(ref), expected=manifest.files)
        with _new_folder(target, ref) as folder:
            plain = is_plain(config)
            if plain:
                _copy(store, ref, WEIGHTS, folder)
            else:
                _write_pairs(folder / WEIGHTS, pairs, rank=highest_rank(config))
            values = _plain_config(config, list(pairs), plain=plain, served_name=served_name)
            (folder / CONFIG).write_text(json.dumps(values, indent=2), encoding="utf-8")
    return target


def export_merged(
    store: AdapterStore,
    ref: AdapterRef,
    target: Path,
    *,
    base: str | None = None,
    dtype: str = "float32",
) -> Path:
    """Write the base model with the adapter's products added to its weights.

    It is a model of its own: any server takes it, and nothing of it can be exchanged any more. In
    bfloat16 the sums are rounded, and answers differ in the third place; a 4-bit base is read in
    full numbers.

    Args:
        store: Where it is.
        ref: Which one.
        target: A new or an empty folder.
        base: The base's folder, GGUF file or name; None: what the manifest names. An embedder's is
            its folder.
        dtype: "float32", "bfloat16" or "float16": the numbers that are added and written.

    Returns:
        The folder: safetensors, the base's tokenizer and settings.

    Raises:
        ValueError: There are no such numbers.
        AdapterNotFoundError: There is none.
        AdapterMismatchError: It was made for another base.
        AdapterError: It is no LoRA, or changes a matrix that the base uses twice.
        ModelError: The base can not be loaded.
    """
    if dtype not in _DTYPES:
        msg = f"A merged model's dtype is one of {', '.join(_DTYPES)}, not {dtype!r}"
        raise ValueError(msg)
    with store.lease(ref):
        manifest = store.manifest(ref)
        pairs = read_lora(store.path(ref), expected=manifest.files)
        load = _load_generator if manifest.kind == "generator" else _load_embedder
        with _new_folder(target, ref) as folder:
            network, parts, digest = load(base or manifest.base, _DTYPES[dtype])
            _check_base(ref, manifest, digest)
            merge_pairs(network, pairs, adapter=str(ref))
            for part in parts:
                part.save_pretrained(folder)
    return target


def merge_pairs(model: Any, pairs: Mapping[str, LoraPair], *, adapter: str) -> None:
    """Add an adapter's products to a model's own weights, in float32.

    Args:
        model: It is changed; nobody else may use it.
        pairs: By the layer's name.
        adapter: Named in errors.

    Raises:
        AdapterMismatchError: The model has other layers.
        AdapterError: A layer's weights are not plain numbers, or used twice.
    """
    shapes, modules = linear_shapes(model), dict(model.named_modules())
    owners: dict[int, int] = {}
    for module in modules.values():
        if isinstance(weight := getattr(module, "weight", None), torch.Tensor):
            owners[id(weight)] = owners.get(id(weight), 0) + 1
    for layer, pair in pairs.items():
        needed = (pair.b.shape[0], pair.a.shape[1])
        if (there := shapes(layer)) != needed:
            raise AdapterMismatchError(
                adapter, what="base model", expected=f"{there}", found=f"{layer!r} of {needed}"
            )
        weight = modules[layer].weight
        if not weight.is_floating_point() or owners[id(weight)] > 1:
            reason = "used twice" if weight.is_floating_point() else f"of {weight.dtype}"
            msg = f"{adapter!r} can not be merged: the weights of {layer!r} are {reason}"
            raise AdapterError(msg, adapter=adapter)
        product = pair.b @ pair.a
        if isinstance(modules[layer], torch.nn.Embedding):  # a row for each token
            product = product.T
        with torch.no_grad():
            weight.copy_(weight.to(torch.float32) + product)


def _copy(store: AdapterStore, ref: AdapterRef, name: str, target: Path) -> None:
    """Copy one file of a version, the one that its manifest names; its matrices by PEFT's names."""
    path = store.path(ref) / name
    found = copy_file(path, target / name)
    if found != (expected := store.manifest(ref).files.get(name)):
        raise refused(path, f"its sha256 is {found}, its manifest says {expected}")
    if name != WEIGHTS:
        return
    checked = check_folder(store.path(ref))
    if checked.config and any(plain_name(one) != one for one in checked.matrices):
        matrices = {plain_name(one): matrix for one, matrix in load_file(target / name).items()}
        save_file(matrices, target / name, metadata={"format": "pt"})


def _write_pairs(path: Path, pairs: Mapping[str, LoraPair], *, rank: int) -> None:
    matrices = {}
    for layer, pair in pairs.items():
        missing = rank - pair.a.shape[0]
        matrices[matrix_name(layer, "A")] = pad(pair.a, (0, 0, 0, missing)).contiguous()
        matrices[matrix_name(layer, "B")] = pad(pair.b, (0, missing)).contiguous()
    save_file(matrices, path, metadata={"format": "pt"})


def _plain_config(
    config: AdapterConfig, layers: list[str], *, plain: bool, served_name: str
) -> dict[str, object]:
    rank = highest_rank(config)
    alpha = config.lora_alpha if plain else rank
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": served_name,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": int(alpha) if float(alpha).is_integer() else alpha,
        "lora_dropout": 0.0,
        "target_modules": sorted({layer.rpartition(".")[2] for layer in layers}),
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "rank_pattern": {},
        "alpha_pattern": {},
    }


def _load_generator(base: str, dtype: torch.dtype) -> tuple[Any, list[Any], str]:
    from langchain_graft.models.transformers_weights import (  # noqa: PLC0415
        find_weights,
        load_weights,
    )

    weights = find_weights(base.removeprefix("hf:"))
    model, tokenizer, digest = load_weights(weights, device="cpu", dtype=dtype)
    return model, [model, tokenizer], digest


def _load_embedder(base: str, dtype: torch.dtype) -> tuple[Any, list[Any], str]:
    from langchain_graft.models.sentence_embeddings import SentenceEmbeddings  # noqa: PLC0415

    if not Path(base).is_dir():
        msg = f"{base!r} is no folder. Name the embedder's folder as the base"
        raise ModelError(msg)
    name = str(dtype).rpartition(".")[2]
    embedder = SentenceEmbeddings(Path(base), device="cpu", dtype=name)
    return embedder.transformer, [embedder._model], embedder.digest  # noqa: SLF001 (saved as a whole)


def _check_base(ref: AdapterRef, manifest: AdapterManifest, digest: str) -> None:
    if digest != manifest.base_digest:
        raise AdapterMismatchError(
            str(ref), what="base model", expected=digest, found=manifest.base_digest
        )


@contextmanager
def _new_folder(target: Path, ref: AdapterRef) -> Iterator[Path]:
    """A folder beside the target, which becomes it when all is written."""
    target = target.absolute()
    if target.is_symlink() or (target.exists() and not _is_empty(target)):
        msg = f"{str(target)!r} is there already, and not an empty folder. Name a new one"
        raise AdapterError(msg, adapter=str(ref))
    part = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        part.mkdir(parents=True)
        yield part
        if target.exists():
            target.rmdir()
        part.rename(target)
    except OSError as error:
        msg = f"{str(target)!r} can not be written: {error}. Make room, or name another folder"
        raise AdapterError(msg, adapter=str(ref)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
