"""Does a citation that is called verified hold? `find_support` on claims known to hold or not.

A claim is a sentence of a document, without its last words. It holds in that document. It does not
hold when a number or a name in it was exchanged, when its verb was denied, or in the document that
BM25 finds for it when its own is left out. The peer is the usual measure without a model: the share
of the claim's words that stand in the document (ROUGE-1 precision), called supported from 0.7 on.

    GRAFT_BENCH_DATA=... python benchmarks/citations.py
"""

import random
import re
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

from langchain_core.documents import Document
from report import data_folder, finish, print_table

from langchain_graft.chains.support import find_support
from langchain_graft.evaluation.answers import answer_tokens
from langchain_graft.evaluation.bootstrap import mean_interval
from langchain_graft.evaluation.datasets import load_beir_corpus
from langchain_graft.retrievers import BM25Index
from langchain_graft.retrievers.query import Query
from langchain_graft.sentences import sentences

DATA = ("nq_open_oracle", "scifact", "cmrc2018")
PER_DATA = 500
LEAST_SENTENCES = 3
PEER_SUPPORTED = 0.7
NUMBER = re.compile(r"\d+")
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}")
VERB = re.compile(
    r"\b(?:was|were|is|are|has been|have been|can|will|did)\b|(?<=[^就还但于若总要只])是(?=[^否])"
)
WHAT = ("holds", "other number", "other name", "denied", "other document")


class Claim(NamedTuple):
    """A sentence, and whether the passage says it."""

    what: str
    text: str
    passage: str


def claims(name: str, rng: random.Random) -> Iterator[Claim]:
    documents = [
        Document(id=id_, page_content=text)
        for id_, _, text in load_beir_corpus(data_folder(name))
        if len(sentences(text)) >= LEAST_SENTENCES
    ]
    index = BM25Index(tempfile.mkdtemp())
    index.add(documents)
    names = sorted({name for d in documents for name in NAME.findall(d.page_content)})
    for document in rng.sample(documents, PER_DATA):
        passage = document.page_content
        text = shortened(rng.choice(sentences(passage)[1:-1]))
        yield Claim("holds", text, passage)
        yield from (Claim(*changed, passage) for changed in falsified(text, passage, names, rng))
        found = index.search_many([Query(text)], k=2)[0]
        near = [other.page_content for other in found if other.id != document.id]
        yield from (Claim("other document", text, other) for other in near[:1] if text not in other)
    index.close()


def shortened(sentence: str) -> str:
    """The sentence without its last fifth, cut between words."""
    keep = len(sentence) * 4 // 5
    return sentence[:keep].rsplit(" ", 1)[0] if " " in sentence[:keep] else sentence[:keep]


def falsified(
    text: str, passage: str, names: list[str], rng: random.Random
) -> Iterator[tuple[str, str]]:
    if number := NUMBER.search(text):
        other = next(n for n in iter(lambda: str(rng.randint(2, 2100)), "") if n not in passage)
        yield "other number", text[: number.start()] + other + text[number.end() :]
    if name := NAME.search(text):
        other = next(n for n in iter(lambda: rng.choice(names), "") if n not in passage)
        yield "other name", text[: name.start()] + other + text[name.end() :]
    if verb := VERB.search(text):
        no = "不是" if verb[0] == "是" else f"{verb[0]} not"
        yield "denied", text[: verb.start()] + no + text[verb.end() :]


def ours(claim: Claim) -> bool:
    support = find_support(claim.text, claim.passage)
    return bool(support and support.holds)


def rouge(claim: Claim) -> bool:
    said, there = answer_tokens(claim.text), set(answer_tokens(claim.passage))
    return bool(said) and sum(word in there for word in said) / len(said) >= PEER_SUPPORTED


def main() -> None:
    rows = []
    for name in DATA:
        asked = list(claims(name, random.Random(7)))  # noqa: S311
        for what in WHAT:
            these = [claim for claim in asked if claim.what == what]
            if these:
                systems = [
                    mean_interval([float(judge(c)) for c in these]) for judge in (ours, rouge)
                ]
                told = [f"{i.mean:.3f} ({i.low:.3f} to {i.high:.3f})" for i in systems]
                rows.append((name, what, len(these), *told))
    print_table("Called supported", ("data", "claim", "claims", "ours", "ROUGE-1 precision"), rows)
    finish("citations", {"supported": [list(row) for row in rows]}, packages=())


if __name__ == "__main__":
    main()
