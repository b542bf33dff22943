"""`graft`: the parser, and what a failure looks like to its user."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from langchain_graft import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, FAILED, WRONG_USE, DONE_IN_PART, INTERRUPTED = 0, 1, 2, 3, 130

_SERVICES = ("anthropic", "httpcore", "httpx", "ollama", "openai", "requests")
"""Libraries of services: what they raise is the world failing, not a fault of ours."""

COMMANDS = {
    "demo": "build a knowledge base from the example documents and ask it questions",
    "ingest": "bring a knowledge base up to date with files and folders",
    "remove": "take documents out of a knowledge base",
    "ask": "ask one question, get an answer with its sources",
    "chat": "ask in a conversation",
    "status": "what a knowledge base holds, and what could not be read",
    "eval": "measure retrieval and answers",
    "train": "train an adapter on a knowledge base's own texts, or on given rows",
    "adapters": "list, show, import, export and remove the adapters of a knowledge base",
    "releases": "what served a knowledge base, and what serves now",
    "promote": "make an adapter part of what serves",
    "rollback": "make the former release serve again",
    "graph": "what a graph holds, copy it, draw it",
    "serve": "answer over OpenAI's HTTP API, for any chat client",
    "mcp": "answer as tools of the Model Context Protocol, for any agent",
    "neo4j": "run a Neo4j on this machine, without Docker or Java",
    "models": "list, download and verify the local models",
}

EXAMPLES = """\
examples:
  graft ingest documents/ --kb my-kb
  graft ask "Who founded Apple?" --kb my-kb
  graft chat --kb my-kb
  graft eval --kb my-kb --questions questions.jsonl
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Its arguments; None: those of this process.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong use, 3 done in part, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    arguments = build_parser().parse_args(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except BaseException as error:
        found = exit_code(error)
        if found is None:
            raise
        sys.stderr.write(f"graft: {_message(error)}\n")
        return found
    return code


def exit_code(error: BaseException) -> int | None:
    """What an error means to the caller; None: it is a fault of ours, to be shown in full."""
    from langchain_graft.errors import (  # noqa: PLC0415
        AdapterNotFoundError,
        EvaluationDataError,
        GraftError,
        NotAKnowledgeBaseError,
        TrainingDataError,
        UnknownModelError,
    )

    codes: tuple[tuple[type[BaseException], int], ...] = (
        (KeyboardInterrupt, INTERRUPTED),
        (FileNotFoundError, WRONG_USE),
        (NotAKnowledgeBaseError, WRONG_USE),
        (UnknownModelError, WRONG_USE),
        (AdapterNotFoundError, WRONG_USE),
        (EvaluationDataError, WRONG_USE),
        (TrainingDataError, WRONG_USE),
        (GraftError, FAILED),
        (OSError, FAILED),
        (ImportError, FAILED),
        (ValueError, WRONG_USE),
    )
    if type(error).__module__.partition(".")[0] in _SERVICES:
        return FAILED
    return next((code for kind, code in codes if isinstance(error, kind)), None)


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted. What was done is kept; run it again to go on."
    return str(error)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; it loads no library."""
    parser = argparse.ArgumentParser(
        prog="graft",
        description="Cited answers from your documents, with models that run on this machine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"graft {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        command = import_module(f"langchain_graft.cli.{name}_command")
        sub = commands.add_parser(
            name,
            help=purpose,
            description=purpose[0].upper() + purpose[1:] + ".",
            epilog=command.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser
