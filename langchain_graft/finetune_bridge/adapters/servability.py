"""Where an adapter can be served, and why not elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from langchain_graft.finetune_bridge.adapters.config import AdapterConfig
    from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What `vllm serve --max-lora-rank` takes."""
Place = Literal["in-process", "mixed batch", "vLLM", "SGLang", "GGUF"]
_EMBEDDINGS = frozenset({"embed_tokens", "word_embeddings", "wte"})
_PLAINER = "export_vllm writes its scaling into the matrices, all of one rank"


@dataclass(frozen=True)
class Servability:
    """One place where an adapter may be served."""

    where: Place
    served: bool
    why: str
    """What it takes there, or what keeps it from it."""


def servability(manifest: AdapterManifest, config: AdapterConfig | None) -> list[Servability]:
    """Where an adapter can be served.

    Read in the sources of vLLM (0.27), SGLang and llama.cpp: all take LoRA of linear layers; vLLM
    passes over `rank_pattern` and `alpha_pattern` without a word, SGLang and llama.cpp's converter
    over `use_rslora` as well, and would answer with another scaling. DoRA, `modules_to_save` and
    biases never come this far.

    Args:
        manifest: Of the adapter.
        config: Its configuration (`CheckedFolder.config`); None: a map of a query's vector.
    """
    if config is None or manifest.kind == "query-map":
        here = "AdapterEmbeddings multiplies the query's vector with it"
        return [*_here(here, here), *_elsewhere("it is a map of a query's vector, no LoRA")]
    if manifest.kind == "embeddings":
        here = "AdapterEmbeddings adds it in the embedder's transformer"
        mixed = "queries and documents with different adapters are computed at once"
        return [*_here(here, mixed), *_elsewhere("an embedder is served here; or export_merged")]
    if _EMBEDDINGS & set(config.target_modules or ()):
        here = "AdapterEngine adds it beside the base's layers, and to the embeddings of tokens"
        mixed = "rows of several adapters are computed in one batch"
        return [*_here(here, mixed), *_elsewhere("it has rows for tokens, which are served here")]
    rank = highest_rank(config)
    step = next(one for one in VLLM_RANKS if one >= rank)
    names = "base_model_name_or_path has to be the served model's name, as export_vllm writes it"
    vllm = f"start it with --enable-lora --max-lora-rank {step} or more; {names}"
    gguf = "export_vllm, then llama.cpp's convert_lora_to_gguf.py --base FOLDER"
    folded = "" if is_plain(config) else f"; {_PLAINER}"
    return [
        *_here(
            "AdapterEngine adds it beside the base's layers",
            "rows of several adapters are computed in one batch",
        ),
        Servability("vLLM", True, vllm + folded),  # noqa: FBT003 (the column's name says it)
        Servability("SGLang", True, f"start it with --enable-lora --max-lora-rank {rank}{folded}"),  # noqa: FBT003
        _gguf(config, gguf + folded),
    ]


def highest_rank(config: AdapterConfig) -> int:
    """The highest rank that a layer can have."""
    return max([config.r, *config.rank_pattern.values()])


def is_plain(config: AdapterConfig) -> bool:
    """Whether every layer has the same rank, and alpha / rank is its scaling."""
    return not (config.use_rslora or config.rank_pattern or config.alpha_pattern)


def _here(single: str, mixed: str) -> list[Servability]:
    return [Servability("in-process", True, single), Servability("mixed batch", True, mixed)]  # noqa: FBT003


def _elsewhere(why: str) -> list[Servability]:
    return [Servability(where, False, why) for where in ("vLLM", "SGLang", "GGUF")]  # noqa: FBT003


def _gguf(config: AdapterConfig, how: str) -> Servability:
    if config.target_modules is not None and "lm_head" in config.target_modules:
        why = "llama.cpp's converter refuses lm_head where the base's embeddings are its weights"
        return Servability("GGUF", False, why)  # noqa: FBT003
    return Servability("GGUF", True, how)  # noqa: FBT003
