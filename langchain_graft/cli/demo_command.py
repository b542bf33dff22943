"""`graft demo`: the main job on real documents, from nothing to cited answers."""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.options import DEFAULT_MODEL, add_json, positive

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from langchain_core.runnables import Runnable
    from rich.console import Console

    from langchain_graft.knowledge_base import KnowledgeBase

EXAMPLES = """\
examples:
  graft demo
  graft demo --kb /tmp/demo --model smollm2-135m
  graft demo --graph
  graft demo --loop

It reads the example documents (the history of personal computing, in English and Chinese), and asks
questions of which one has no answer there. A second run goes on where the first was.
"""

QUESTIONS = (
    "How much was the designer of the NeXT logo paid?",
    "Who recorded the chord you hear when a Mac boots?",
    "What did Apple call the colour of the original iMac?",
    "四通打字机的设计者是哪位语言学家的儿子？",
    "苹果在中国内地开的第一家店在哪儿？",
    "Which country won the football World Cup in 2018?",
)
CONTEXT_TOKENS = 600
ANSWER_TOKENS = 128
K = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--kb", type=Path, default=Path("demo-kb"), metavar="FOLDER", help="default: demo-kb"
    )
    parser.add_argument(
        "--graph",
        action="store_true",
        help="instead: a graph of two documents (in FOLDER-graph), and two questions to it, one "
        "of them in Cypher to a local Neo4j",
    )
    parser.add_argument(
        "--loop",
        action="store_true",
        help="instead: an embedder learns the documents (in FOLDER-loop), goes through the gate "
        "and live while 4 threads ask, and is gone back from",
    )
    parser.add_argument(
        "--generate",
        type=positive,
        metavar="N",
        help="with --loop: have the chat model ask about N passages, in place of the questions "
        "that lie beside the documents",
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="SPEC", help="the chat model")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Pull, ingest, ask; then say what took how long."""
    from langchain_graft.chains import create_rag_chain  # noqa: PLC0415
    from langchain_graft.cli.console import ERR, OUT, print_json, print_table  # noqa: PLC0415
    from langchain_graft.models import load_chat_model  # noqa: PLC0415

    say = ERR if arguments.json else OUT
    clock = _Clock()
    if arguments.graph:
        return _run_graph(arguments, say, clock)
    if arguments.loop:
        return _run_loop(arguments, say, clock)
    say.rule("1 of 3: the models")
    with clock("pull"):
        _pull(arguments.model)
    say.rule("2 of 3: the documents")
    with clock("ingest"):
        kb = _ingest(arguments.kb, say)
    say.rule("3 of 3: the questions")
    with clock("answers"):
        model = load_chat_model(arguments.model, max_tokens=ANSWER_TOKENS)
        chain = create_rag_chain(model, kb.retriever(k=K), context_tokens=CONTEXT_TOKENS)
        answers = [_ask(chain, question, quiet=arguments.json) for question in QUESTIONS]
    if arguments.json:
        print_json({"answers": answers, "seconds": clock.seconds})
        return 0
    shares = [(name, f"{seconds:.1f} s") for name, seconds in clock.seconds.items()]
    print_table("What took how long", ("step", "time"), shares)
    program = "graft" if shutil.which("graft") else sys.argv[0]
    OUT.print(f'Ask your own: {program} ask "..." --kb {arguments.kb}', soft_wrap=True)
    return 0


def _run_graph(arguments: argparse.Namespace, say: Console, clock: _Clock) -> int:
    from langchain_graft.cli import demo_graph  # noqa: PLC0415
    from langchain_graft.cli.console import OUT, print_json, print_table  # noqa: PLC0415
    from langchain_graft.models import load_chat_model  # noqa: PLC0415

    folder = arguments.kb.with_name(f"{arguments.kb.name}-graph")

    def ask(chain: Runnable[Any, Any], question: str) -> dict[str, Any]:
        return _ask(chain, question, quiet=arguments.json)

    with clock("pull"):
        _pull(arguments.model)
        model = load_chat_model(arguments.model, max_tokens=2 * ANSWER_TOKENS)
    say.rule("1 of 3: the graph, read by the model")
    with clock("graph"):
        kb = demo_graph.build(folder, examples_folder() / "corpus", model, say)
    say.rule("2 of 3: a question along its relationships")
    with clock("Graph RAG"):
        answers = [demo_graph.ask_along(kb, model, ask)]
    say.rule("3 of 3: a question in Cypher, on a Neo4j")
    with clock("text2cypher"):
        answers.append(demo_graph.ask_in_cypher(kb, model, ask, folder / "neo4j"))
    if arguments.json:
        print_json({"answers": answers, "seconds": clock.seconds})
        return 0
    shares = [(name, f"{seconds:.1f} s") for name, seconds in clock.seconds.items()]
    print_table("What took how long", ("step", "time"), shares)
    OUT.print(f'Look at it: graft graph show "Steve Jobs" --kb {folder} --out jobs.html')
    return 0


def _run_loop(arguments: argparse.Namespace, say: Console, clock: _Clock) -> int:
    from langchain_graft.cli import demo_loop  # noqa: PLC0415
    from langchain_graft.cli.console import OUT, print_json, print_table  # noqa: PLC0415

    folder = arguments.kb.with_name(f"{arguments.kb.name}-loop")
    told = demo_loop.run(
        folder,
        examples_folder(),
        generate=arguments.generate,
        model=arguments.model,
        say=say,
        clock=clock,
    )
    if arguments.json:
        print_json({**told, "seconds": clock.seconds})
        return 0
    demo_loop.show(told, say)
    shares = [(name, f"{seconds:.1f} s") for name, seconds in clock.seconds.items()]
    print_table("What took how long", ("step", "time"), shares)
    OUT.print(f"Look at it: graft adapters list --kb {folder}", soft_wrap=True)
    return 0


def _pull(model: str) -> None:
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.knowledge_base.knowledge_base import DEFAULT_EMBEDDINGS  # noqa: PLC0415
    from langchain_graft.models.catalogue import CATALOGUE  # noqa: PLC0415
    from langchain_graft.models.pull import pull_model  # noqa: PLC0415

    with progress() as on_progress:
        for name in (DEFAULT_EMBEDDINGS, model):
            if name in CATALOGUE:
                pull_model(name, on_progress=on_progress)


def _ingest(folder: Path, say: Console) -> KnowledgeBase:
    from langchain_graft.cli.console import progress  # noqa: PLC0415
    from langchain_graft.knowledge_base import KnowledgeBase  # noqa: PLC0415
    from langchain_graft.knowledge_base.manifest import NAME  # noqa: PLC0415

    make = KnowledgeBase.open if (folder / NAME).exists() else KnowledgeBase.create
    with progress() as on_progress:
        kb = make(folder, on_progress=on_progress)
        report = kb.ingest(examples_folder() / "corpus", on_progress=on_progress)
    say.print(
        f"{report.added} documents added, {report.unchanged} unchanged, "
        f"{report.chunks} passages embedded"
    )
    return kb


def _ask(chain: Runnable[Any, Any], question: str, *, quiet: bool) -> dict[str, Any]:
    from langchain_graft.cli.ask_command import output_as_json, print_answer  # noqa: PLC0415
    from langchain_graft.cli.console import OUT, print_sources  # noqa: PLC0415

    if quiet:
        return output_as_json(chain.invoke(question))
    OUT.print(question, style="bold")
    output = print_answer(chain, question)
    print_sources(output["context"], output["citations"])
    return output_as_json(output)


def examples_folder() -> Path:
    """The example documents: of the checkout, or of the installed package.

    Raises:
        FileNotFoundError: They are in neither.
    """
    places = (
        Path(__file__).parents[2] / "examples",
        Path(sys.prefix) / "share/langchain-graft/examples",
    )
    for place in places:
        if (place / "corpus").is_dir():
            return place
    msg = f"The example documents are in none of {', '.join(map(str, places))}"
    raise FileNotFoundError(msg)


class _Clock:
    """Seconds by step; the installer's come from `GRAFT_INSTALL_SECONDS`."""

    def __init__(self) -> None:
        installed = os.environ.get("GRAFT_INSTALL_SECONDS")
        self.seconds: dict[str, float] = {"install": float(installed)} if installed else {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[step] = round(time.perf_counter() - started, 1)
