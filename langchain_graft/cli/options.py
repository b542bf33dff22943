"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from langchain_graft.cli.graph_chains import GRAPH_CHAINS, default_router, graph_chain
from langchain_graft.cli.graph_options import add_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

    from langchain_graft.knowledge_base import KnowledgeBase
    from langchain_graft.models.pull import OnProgress
    from langchain_graft.retrievers import FusionRetriever, IndexRetriever

DEFAULT_MODEL = "qwen2.5-coder-1.5b"
DEFAULT_K = 5
CONTEXT_TOKENS = 800
ANSWER_TOKENS = 256
RETRIEVERS = ("vector", "bm25", "hybrid")
REWRITING = ("fusion", "adaptive")
"""More of them, for measuring: `graft ask --chain rag-fusion` is what people ask."""
CHAINS = ("rag", "rag-fusion", "step-back", "multi-step", "self-rag", *GRAPH_CHAINS, "auto")


def add_kb(parser: argparse.ArgumentParser) -> None:
    """`--kb FOLDER`."""
    parser.add_argument(
        "--kb", required=True, type=Path, metavar="FOLDER", help="the knowledge base's folder"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document on stdout, nothing else"
    )


def add_answering(
    parser: argparse.ArgumentParser, *, retrievers: Sequence[str] = RETRIEVERS
) -> None:
    """`--chain`, `--model`, `--adapter`, `-k`, `--filter`, `--retriever`, `--context-tokens`."""
    parser.add_argument(
        "--chain",
        choices=CHAINS,
        default="rag",
        help="how it is answered: the question looked up (rag), also in other words (rag-fusion) "
        "or more generally (step-back), question by question (multi-step), passage by passage with "
        "each answer judged, and only where it helps (self-rag), along a graph's "
        "relationships (graph), by a statement to Neo4j (text2cypher), over summaries of a whole "
        "graph (overview), or what suits it (auto) (default: rag)",
    )
    add_graph(parser, kb=False)
    parser.add_argument(
        "--model",
        metavar="SPEC",
        help="the chat model: a name of `graft models list`, gguf:FILE, hf:NAME, openai:NAME, ... "
        f"(default: what the adapter or the release is made for, else {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--adapter",
        metavar="REF",
        help="an adapter on the chat model, as `graft adapters list` has it: legal@000003, legal, "
        "or base for none (default: the release's)",
    )
    parser.add_argument(
        "-k",
        type=positive,
        default=DEFAULT_K,
        metavar="N",
        help=f"passages per question (default: {DEFAULT_K})",
    )
    parser.add_argument(
        "--filter",
        type=_filter,
        metavar="JSON",
        help='only passages with this metadata, such as \'{"language": "zh"}\'',
    )
    parser.add_argument(
        "--retriever",
        choices=retrievers,
        help="by meaning, by words, or both (default: vector; hybrid for --chain rag-fusion)",
    )
    parser.add_argument(
        "--context-tokens",
        type=positive,
        default=CONTEXT_TOKENS,
        metavar="N",
        help=f"most tokens of all passages in the prompt (default: {CONTEXT_TOKENS})",
    )


def load_model(
    arguments: argparse.Namespace, on_progress: OnProgress | None, kb: KnowledgeBase | None = None
) -> BaseChatModel:
    """The chat model that was asked for, with the adapter that was, or the release's.

    Raises:
        ValueError: An adapter was asked for without a knowledge base.
    """
    from langchain_graft.models import load_chat_model  # noqa: PLC0415

    spec = model_spec(arguments, kb)
    if kb is not None:
        return kb.chat_model(
            spec, adapter=arguments.adapter, on_progress=on_progress, max_tokens=ANSWER_TOKENS
        )
    if arguments.adapter:
        msg = f"--adapter {arguments.adapter}: say which knowledge base has it, --kb FOLDER"
        raise ValueError(msg)
    return load_chat_model(spec, on_progress=on_progress, max_tokens=ANSWER_TOKENS)


def model_spec(arguments: argparse.Namespace, kb: KnowledgeBase | None) -> str:
    """The chat model's name: as asked, what the adapter or the release has, or the default."""
    if arguments.model or kb is None:
        return arguments.model or DEFAULT_MODEL
    from langchain_graft.finetune_bridge.adapters.ref import RELEASE  # noqa: PLC0415

    is_named = arguments.adapter not in (None, RELEASE)
    ref = kb.adapters.resolve(arguments.adapter) if is_named else None
    return kb.adapters.manifest(ref).base if ref else kb.release.generator or DEFAULT_MODEL


def open_filled(folder: Path, on_progress: OnProgress | None) -> KnowledgeBase:
    """The knowledge base in a folder, which must hold something.

    Raises:
        KnowledgeBaseError: It is empty.
    """
    from langchain_graft.errors import KnowledgeBaseError  # noqa: PLC0415
    from langchain_graft.knowledge_base import KnowledgeBase  # noqa: PLC0415

    kb = KnowledgeBase.open(folder, on_progress=on_progress)
    if not kb.status().chunks.get("indexed"):
        msg = (
            f"The knowledge base {str(folder)!r} holds nothing yet. "
            f"Fill it: graft ingest PATH --kb {folder}"
        )
        raise KnowledgeBaseError(msg)
    return kb


def make_chain(
    arguments: argparse.Namespace, kb: KnowledgeBase | None, model: BaseChatModel
) -> Runnable[Any, Any]:
    """The chain that was asked for; those over a graph need no knowledge base."""
    from langchain_graft import chains  # noqa: PLC0415
    from langchain_graft.retrievers import FusionRetriever  # noqa: PLC0415

    create: dict[str, Callable[..., Runnable[Any, Any]]] = {
        "rag": chains.create_rag_chain,
        "rag-fusion": chains.create_rag_fusion_chain,
        "step-back": chains.create_step_back_chain,
        "multi-step": chains.create_multi_step_chain,
        "self-rag": chains.create_self_rag_chain,
    }
    settings: dict[str, Any] = {"context_tokens": arguments.context_tokens}
    if kb is None:
        return graph_chain(arguments, model, None, settings)
    retriever = make_retriever(arguments, kb, k=arguments.k, load=lambda: model)
    if arguments.chain in GRAPH_CHAINS:
        return graph_chain(arguments, model, retriever, settings)
    if arguments.chain == "auto":
        return default_router(arguments, model, retriever, settings)
    if arguments.chain == "rag-fusion" and isinstance(retriever, FusionRetriever):
        settings["weakness"] = kb.weakness  # as it was measured: in hybrid search
    return create[arguments.chain](model, retriever, **settings)


def retriever_kind(arguments: argparse.Namespace) -> str:
    """The name of the retriever that was asked for, or that goes with the chain."""
    return arguments.retriever or ("hybrid" if arguments.chain == "rag-fusion" else "vector")


def make_retriever(
    arguments: argparse.Namespace, kb: KnowledgeBase, *, k: int, load: Callable[[], BaseChatModel]
) -> IndexRetriever | FusionRetriever:
    """The retriever that was asked for; `fusion` and `adaptive` rewrite questions with a model."""
    from langchain_graft.retrievers import Weakness, create_multi_query_rewriter  # noqa: PLC0415

    kind = retriever_kind(arguments)
    if kind not in REWRITING:
        plain = cast("Literal['vector', 'bm25', 'hybrid']", kind)
        return kb.retriever(plain, k=k, filter=arguments.filter)
    return kb.retriever(
        "hybrid",
        k=k,
        filter=arguments.filter,
        rewriter=create_multi_query_rewriter(load()),
        weakness=(kb.weakness or Weakness()) if kind == "adaptive" else None,
    )


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        msg = f"must be a whole number of 1 or more, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _filter(text: str) -> dict[str, Any]:
    from langchain_graft.retrievers.filters import check_filter  # noqa: PLC0415

    try:
        return dict(check_filter(json.loads(text)))
    except json.JSONDecodeError as error:
        msg = f'must be a JSON object such as \'{{"language": "zh"}}\', not {text!r}'
        raise argparse.ArgumentTypeError(msg) from error
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
