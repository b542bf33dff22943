"""`graft ask`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.graph_chains import GRAPH_CHAINS
from langchain_graft.cli.options import (
    add_answering,
    add_json,
    load_model,
    make_chain,
    open_filled,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from langchain_core.runnables import Runnable

    from langchain_graft.chains.types import SelfRagSegment

EXAMPLES = """\
examples:
  graft ask "Who founded Apple?" --kb my-kb
  graft ask "谁创办了苹果公司？" --kb my-kb --filter '{"language": "zh"}'
  graft ask "Who founded Apple?" --kb my-kb --model openai:gpt-4.1-mini --json
  graft ask "Who led Apple from 1983 to 1985?" --kb my-kb --chain step-back --retriever hybrid
  graft ask "Where was the founder of MITS born?" --kb my-kb --chain auto
  graft ask "What have Pixar and NeXT to do with each other?" --kb my-kb --chain graph
  graft ask "Who acted in the most films?" --chain text2cypher --graph bolt://localhost:7687
  graft ask "What are the main themes?" --kb my-kb --chain overview
  graft ask "Who founded Apple?" --kb my-kb --chain self-rag
  graft ask "When is a contract void?" --kb my-kb --adapter legal
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument(
        "--kb",
        type=Path,
        metavar="FOLDER",
        help="the knowledge base's folder; not needed for a --graph of its own",
    )
    add_answering(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and show the answer with its sources."""
    from langchain_graft.chains.inputs import as_input  # noqa: PLC0415
    from langchain_graft.cli.console import print_json, print_told, progress  # noqa: PLC0415

    as_input(arguments.question)
    over_graph = arguments.chain == "text2cypher" or (
        arguments.chain in GRAPH_CHAINS and arguments.graph
    )
    if not (arguments.kb or over_graph):
        named = "|".join(GRAPH_CHAINS)
        msg = f"Say which knowledge base: --kb FOLDER (or --chain {named} --graph URI)"
        raise ValueError(msg)
    with progress() as on_progress:
        kb = open_filled(arguments.kb, on_progress) if arguments.kb else None
        model = load_model(arguments, on_progress, kb)
    chain = make_chain(arguments, kb, model)
    if arguments.json:
        print_json(output_as_json(chain.invoke(arguments.question)))
        return 0
    print_told(print_answer(chain, arguments.question))
    return 0


def print_answer(chain: Runnable[Any, Any], question: Any) -> dict[str, Any]:
    """Show an answer as it is written.

    Returns:
        The chain's whole output.
    """
    from langchain_core.runnables.utils import AddableDict  # noqa: PLC0415

    from langchain_graft.cli.console import OUT, print_way, printable  # noqa: PLC0415

    output = AddableDict()
    with closing(chain.stream(question)) as chunks:  # type: ignore[type-var]
        for chunk in chunks:
            output += chunk
            print_way(chunk)
            print_segments(chunk.get("segments", ()))
            OUT.out(printable(chunk.get("answer", "")), end="", highlight=False)
    OUT.print()
    return dict(output)


def print_segments(segments: Sequence[SelfRagSegment]) -> None:
    """What Self-RAG decided: a table for each segment of the answer."""
    from langchain_graft.cli.console import print_table  # noqa: PLC0415

    names = ("", "passage", "relevance", "support", "use", "score", "text")
    for number, segment in enumerate(segments, 1):
        rows = [
            (
                "*" if one["chosen"] else "",
                f"[{one['marker']}]" if one["marker"] else "none",
                _share(one["relevance"], one["scores"]["relevance"]),
                _share(one["support"], one["scores"]["support"]),
                _share(one["utility"], one["scores"]["utility"]),
                "-" if one["score"] is None else f"{one['score']:.2f}",
                one["dropped"] or one["text"],
            )
            for one in segment["candidates"]
        ]
        print_table(f"Segment {number}: {_decision(segment)}", names, rows)


def _decision(segment: SelfRagSegment) -> str:
    """Whether something was looked up, and why."""
    known = segment["probability"]
    told = {"retrieve": "looked up", "continue": "the same passages", "none": "nothing looked up"}
    parts = [told[segment["decision"]]]
    if known is not None:
        sign = ">" if known > segment["threshold"] else "<="
        parts.append(f"p(retrieve) {known:.2f} {sign} {segment['threshold']:.2f}")
    return "; ".join(filter(None, [*parts, segment["correction"], segment["economy"]]))


def _share(known: Mapping[str, float], score: float) -> str:
    return f"{score:.2f}" if known else "-"


def output_as_json(output: dict[str, Any]) -> dict[str, Any]:
    """A chain's output as plain values."""
    from langchain_graft.cli.console import as_json  # noqa: PLC0415

    return {key: as_json(value) for key, value in output.items() if key != "chat_history"}
