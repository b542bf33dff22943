"""What is told of Apple and Jobs: Graph RAG against vector RAG on the demo's graph.

The facts that the demo's documents tell of both are listed below. Both chains search the same
passages, with the same model, number of documents and token budget; Graph RAG has the graph that
the model read out of the passages besides. *Found*: the fact stands in the documents that the model
is given; *told*: it stands in the answer. A fact is there when all its words are.

    python benchmarks/graph_facts.py [--model qwen2.5-coder-1.5b]
"""

import argparse
import re
from typing import Any

from report import finish, print_table
from rich.console import Console

from langchain_graft import load_chat_model
from langchain_graft.chains import create_graph_rag_chain, create_rag_chain
from langchain_graft.cli.demo_command import examples_folder
from langchain_graft.cli.demo_graph import CONTEXT_TOKENS, QUESTION, K, build
from langchain_graft.models.cache_folder import cache_folder
from langchain_graft.source_text import source_text

ANSWER_TOKENS = 400
BAR = 0.8
FACTS: dict[str, tuple[str, ...]] = {
    "Jobs, Wozniak and Wayne signed Apple's contract": ("Wozniak", "Wayne", "sign|found|partner"),
    "on April 1, 1976": ("April 1, 1976",),
    "Jobs took the name from an apple farm": ("farm", "name"),
    "the farm was in Oregon": ("farm in Oregon|Oregon.*farm",),
    "he sold his Volkswagen bus for Apple's boards": ("Volkswagen",),
    "no Apple without the blue boxes": ("without the blue box|blue box.*no Apple",),
    "calligraphy and the Macintosh's typefaces": ("calligraphy", "Macintosh"),
    "Jobs resigned from Apple and founded NeXT": ("NeXT", "resign|left|leav"),
    "that was in 1985": ("1985",),
    "five employees went with him": ("five",),
    "Apple sued": ("sued",),
    "and settled": ("settled",),
    "Apple agreed to buy NeXT on December 20, 1996": ("NeXT", "1996"),
    "for 429 million dollars": ("429",),
    "and 1.5 million shares for Jobs": ("1\\.5 million",),
    "NeXTSTEP became Mac OS X": ("NeXT", "Mac OS X"),
    "Tevanian took charge of Apple's software": ("Tevanian", "software"),
    "Rubinstein of its machines": ("Rubinstein",),
}


def is_told(words: tuple[str, ...], text: str) -> bool:
    return all(re.search(word, text, re.IGNORECASE | re.DOTALL) for word in words)


def share(text: str) -> float:
    return sum(is_told(words, text) for words in FACTS.values()) / len(FACTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    arguments = parser.parse_args()
    model = load_chat_model(arguments.model, max_tokens=ANSWER_TOKENS, temperature=0)
    folder = cache_folder() / "bench" / "graph-facts"
    kb = build(folder, examples_folder() / "corpus", model, Console())
    settings: dict[str, Any] = {"context_tokens": CONTEXT_TOKENS}
    vector = kb.retriever("vector", k=K)
    chains = {
        "vector RAG": create_rag_chain(model, vector, **settings),
        "hybrid RAG": create_rag_chain(model, kb.retriever(k=K), **settings),
        "Graph RAG": create_graph_rag_chain(
            model, kb.retriever("graph", k=K), retriever=kb.retriever(k=K), **settings
        ),
    }
    outputs = {name: chain.invoke(QUESTION) for name, chain in chains.items()}
    found = {n: "\n".join(map(source_text, o["context"])) for n, o in outputs.items()}
    figures = {
        name: {"found": share(found[name]), "told": share(output["answer"])}
        for name, output in outputs.items()
    }
    rows = [
        (fact, *("x" if is_told(words, found[name]) else "" for name in chains))
        for fact, words in FACTS.items()
    ]
    print_table("Facts in what is found", ("", *chains), rows)
    print_table(
        f"{len(FACTS)} facts; {QUESTION}",
        ("", "found", "told"),
        [(name, *of.values()) for name, of in figures.items()],
    )
    finish(
        "graph_facts",
        {"facts": len(FACTS), "bar": BAR, "model": arguments.model, **figures},
        packages=("xllamacpp",),
    )


if __name__ == "__main__":
    main()
