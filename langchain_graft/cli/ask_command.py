"""`graft ask`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.options import (
    add_answering,
    add_json,
    add_kb,
    load_model,
    make_chain,
    open_filled,
)

if TYPE_CHECKING:
    import argparse

    from langchain_core.runnables import Runnable

EXAMPLES = """\
examples:
  graft ask "Who founded Apple?" --kb my-kb
  graft ask "谁创办了苹果公司？" --kb my-kb --filter '{"language": "zh"}'
  graft ask "Who founded Apple?" --kb my-kb --model openai:gpt-4.1-mini --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("question", metavar="QUESTION")
    add_kb(parser)
    parser.add_argument("--chain", choices=("rag",), default="rag", help="how it is answered")
    add_answering(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and show the answer with its sources."""
    from langchain_graft.chains.inputs import as_input  # noqa: PLC0415
    from langchain_graft.cli.console import print_json, print_sources, progress  # noqa: PLC0415

    as_input(arguments.question)
    with progress() as on_progress:
        kb = open_filled(arguments.kb, on_progress)
        model = load_model(arguments, on_progress)
    chain = make_chain(arguments, kb, model)
    if arguments.json:
        print_json(output_as_json(chain.invoke(arguments.question)))
        return 0
    output = print_answer(chain, arguments.question)
    print_sources(output["context"], output["citations"])
    return 0


def print_answer(chain: Runnable[Any, Any], question: Any) -> dict[str, Any]:
    """Show an answer as it is written.

    Returns:
        The chain's whole output.
    """
    from langchain_core.runnables.utils import AddableDict  # noqa: PLC0415

    from langchain_graft.cli.console import OUT, printable  # noqa: PLC0415

    output = AddableDict()
    with closing(chain.stream(question)) as chunks:  # type: ignore[type-var]
        for chunk in chunks:
            output += chunk
            OUT.out(printable(chunk.get("answer", "")), end="", highlight=False)
    OUT.print()
    return dict(output)


def output_as_json(output: dict[str, Any]) -> dict[str, Any]:
    """A chain's output as plain values."""
    from langchain_graft.cli.console import document_as_json  # noqa: PLC0415

    return {
        "input": output["input"],
        "context": [document_as_json(document) for document in output["context"]],
        "answer": output["answer"],
        "citations": output["citations"],
    }
