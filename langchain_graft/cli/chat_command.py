"""`graft chat`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.options import add_answering, add_kb, load_model, make_chain, open_filled

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

EXAMPLES = """\
examples:
  graft chat --kb my-kb
  graft chat --kb my-kb --chain auto --retriever hybrid
  graft chat --kb my-kb --adapter legal@000003
  graft chat --kb my-kb --agents vector,graph
  echo 'Who founded Apple?' | graft chat --kb my-kb --agents vector --json
  printf 'Who founded Apple?\\nWhen was he born?\\n' | graft chat --kb my-kb

Questions may refer to what was said before. /new begins a new conversation, /exit ends.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_kb(parser)
    add_answering(parser)
    parser.add_argument(
        "--agents",
        metavar="NAMES",
        help="one agent that searches again where it does not find the answer (vector, bm25, "
        "hybrid or graph), or several, parted by commas, whose answers are checked in turn; "
        "--chain and --retriever have no part in it",
    )
    parser.add_argument(
        "--json", action="store_true", help="with --agents: events as lines of JSON, nothing else"
    )


def run(arguments: argparse.Namespace) -> int:
    """Talk until the end of the input."""
    from langchain_graft.chains import create_conversational_chain  # noqa: PLC0415
    from langchain_graft.chains.inputs import MOST_MESSAGES  # noqa: PLC0415
    from langchain_graft.cli.ask_command import print_answer  # noqa: PLC0415
    from langchain_graft.cli.console import ERR, print_told, progress  # noqa: PLC0415
    from langchain_graft.cli.main import exit_code  # noqa: PLC0415

    _check(arguments)
    with progress() as on_progress:
        kb = open_filled(arguments.kb, on_progress)
        model = load_model(arguments, on_progress, kb)
    if arguments.agents:
        from langchain_graft.cli.agents_chat import talk  # noqa: PLC0415

        return talk(arguments, kb, model, _questions())
    chain = create_conversational_chain(model, make_chain(arguments, kb, model))
    history: list[Any] = []
    for question in _questions():
        if question == "/new":
            history = []
            continue
        try:
            output = print_answer(chain, {"input": question, "chat_history": history})
        except (Exception, KeyboardInterrupt) as error:
            if not sys.stdin.isatty() and isinstance(error, KeyboardInterrupt):
                raise
            if exit_code(error) is None:
                raise
            ERR.print(f"\n{error or 'Stopped.'}", style="red")
            continue
        print_told(output)
        history += [("human", question), ("ai", output["answer"])]
        history = history[-MOST_MESSAGES:]
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.json and not arguments.agents:
        msg = "--json: say which agents talk, --agents vector; one answer: graft ask --json"
        raise ValueError(msg)


def _questions() -> Iterator[str]:
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return
        if line.strip() == "/exit":
            return
        if line.strip():
            yield line.strip()
