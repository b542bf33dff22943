"""When to refuse: p(yes) of a small model against telling it to refuse in its prompt.

A question gets four passages: with its gold passage among them, or without. Refused should be the
latter. A passage that is not gold holds the answer now and then, so that 1.0 can not be reached.
Replies are kept, so that a run that was stopped goes on.

    GRAFT_BENCH_DATA=... python benchmarks/answerable.py [--questions 16]
"""

import argparse
import random
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from langchain_core.documents import Document
from report import data_folder, finish, print_table

from langchain_graft import load_chat_model
from langchain_graft.chains import ANSWERABLE_PROMPT, RAG_PROMPT, is_refusal
from langchain_graft.chains.answer import LANGUAGE_RULES
from langchain_graft.chains.answerable import THRESHOLD, bind_judge, yes_probability
from langchain_graft.chains.context import numbered_sources
from langchain_graft.chains.refusal import refusal
from langchain_graft.evaluation.bootstrap import mean_interval
from langchain_graft.evaluation.datasets import load_beir, load_beir_corpus
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
from langchain_graft.language import language_of
from langchain_graft.retrievers import BM25Index
from langchain_graft.retrievers.query import Query

DATA = (("nq_open_oracle", "test"), ("cmrc2018", "dev"))
PASSAGES = 4
PASSAGE_CHARACTERS = 600
THRESHOLDS = (0.5, 0.7, THRESHOLD, 0.95)


class Case(NamedTuple):
    """A question with passages, and whether they hold its answer."""

    question: str
    passages: list[Document]
    answerable: bool


def cases(name: str, split: str, count: int) -> Iterator[Case]:
    rng = random.Random(11)  # noqa: S311
    queries, judged = load_beir(data_folder(name), split=split)
    corpus = {
        id_: Document(id=id_, page_content=text[:PASSAGE_CHARACTERS])
        for id_, _, text in load_beir_corpus(data_folder(name))
    }
    index = BM25Index(tempfile.mkdtemp())
    index.add(list(corpus.values()))
    for n, query in enumerate(rng.sample(sorted(queries), count)):
        found = index.search_many([Query(queries[query])], k=PASSAGES + 5)[0]
        others = [d for d in found if d.id not in judged[query]][:PASSAGES]
        gold = corpus[next(iter(judged[query]))]
        mixed = rng.sample([gold, *others[:-1]], PASSAGES)
        yield Case(queries[query], mixed if n % 2 else others, bool(n % 2))
    index.close()


def variables(case: Case) -> dict[str, Any]:
    return {
        "input": case.question,
        "sources": numbered_sources(case.passages),
        "refusal": refusal(case.question),
        "language_rule": LANGUAGE_RULES[language_of(case.question)],
    }


def told(flags: list[bool]) -> str:
    interval = mean_interval([float(flag) for flag in flags])
    return f"{interval.mean:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def auc(probabilities: list[float], answerable: list[bool]) -> float:
    """The chance that an answerable question has the higher probability (ties count half)."""
    yes = [p for p, flag in zip(probabilities, answerable, strict=True) if flag]
    no = [p for p, flag in zip(probabilities, answerable, strict=True) if not flag]
    return sum((a > b) + (a == b) / 2 for a in yes for b in no) / (len(yes) * len(no))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=16, help="of each data set")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    arguments = parser.parse_args()
    cache = ReplyCache()
    model = with_reply_cache(load_chat_model(arguments.model, max_tokens=128), cache)
    judge, answering = ANSWERABLE_PROMPT | bind_judge(model), RAG_PROMPT | model
    rows: list[tuple[object, ...]] = []
    figures: dict[str, object] = {}
    for name, split in DATA:
        asked = list(cases(name, split, arguments.questions))
        flags = [case.answerable for case in asked]
        replies = [judge.invoke(variables(case)) for case in asked]
        probabilities = [1.0 if (p := yes_probability(r)) is None else p for r in replies]
        figures[f"{name} AUC"] = auc(probabilities, flags)
        refused = {f"p(yes) < {t}": [p < t for p in probabilities] for t in THRESHOLDS}
        answers = [str(answering.invoke(variables(case)).text) for case in asked]
        refused["told to refuse"] = [is_refusal(answer) for answer in answers]
        for way, said in refused.items():
            pairs = list(zip(said, flags, strict=True))
            right, wrong = ([s for s, f in pairs if f is which] for which in (False, True))
            rows.append((name, way, told(right), told(wrong)))
    names = ("data", "refused when", "without gold passage", "with gold passage")
    print_table(f"Refusals, {arguments.model}", names, rows)
    print(figures)
    finish("answerable", {**figures, "rows": [list(row) for row in rows]}, packages=("xllamacpp",))


if __name__ == "__main__":
    main()
