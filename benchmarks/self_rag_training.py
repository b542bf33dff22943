"""A critic by reflection tokens, trained on a small base, and a bag of words beside it.

Judged on questions that were not learned from, nor any of their passages, by the tokens'
probabilities as the `AdapterEngine` serves them:

- relevance: the gold passage of NQ-Open questions against BM25's first that holds no answer;
- retrieval: NQ-Open questions against closed ones (`self_rag_closed.txt`: sums, rewording,
  translations, in the style of NQ), of templates none of which is learned;
- support: the gold passage with its answer, against that of another question of the same first
  word (which the passage does not hold).

The bag of words is a logistic regression over the words of each part and those that parts share,
learned on the same rows: it shows how far style and shared words alone lead. The run is kept below
the models' folder; one that was stopped goes on.

    GRAFT_BENCH_DATA=... python benchmarks/self_rag_training.py [--questions 200]
"""

import argparse
import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from report import data_folder, finish, print_table
from sklearn.feature_extraction import DictVectorizer  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]

from langchain_graft.chains.self_rag.formulas import (
    relevance_score,
    retrieve_probability,
    support_score,
)
from langchain_graft.chains.self_rag.reflection_model import ReflectionModel
from langchain_graft.chains.self_rag.roles import Judgement
from langchain_graft.chains.self_rag.training import train_self_rag
from langchain_graft.evaluation.bootstrap import mean_interval
from langchain_graft.evaluation.datasets import load_beir, load_beir_corpus
from langchain_graft.finetune_bridge import (
    AdapterEngine,
    AdapterStore,
    LoraSettings,
    ReflectionRow,
    ReflectionSettings,
)
from langchain_graft.models import TransformersEngine, TransformersSettings
from langchain_graft.models.pull import models_folder
from langchain_graft.retrievers import BM25Index
from langchain_graft.retrievers.query import Query

WORK = models_folder().parent / "bench" / "self_rag_training"
CLOSED = Path(__file__).with_name("self_rag_closed.txt")
QUOTED = 400
"""The last questions are quoted in closed ones, and stand for no others."""
JUDGED = 100
LETTERS = 400
"""Of a passage."""
HALF = 0.5
BARS = {"relevance": 0.8, "retrieval": 0.85}
WORD = re.compile(r"\w+")


def closed_rows(part: str) -> list[ReflectionRow]:
    """Questions that need no documents."""
    lines = [one.split("\t") for one in CLOSED.read_text(encoding="utf-8").splitlines()]
    return [
        ReflectionRow(question, answer, retrieve=False, group=template)
        for of, template, question, answer in lines
        if of == part
    ]


def open_rows(count: int) -> tuple[list[ReflectionRow], list[ReflectionRow]]:
    """Three rows a question: its passage, another one, and a wrong answer; learned, and judged."""
    folder = data_folder("nq_open_oracle")
    queries, judged = load_beir(folder, split="test")
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    answers = {one["_id"]: one["answer"] for one in map(json.loads, lines)}
    corpus = {
        id_: Document(id=id_, page_content=f"({title})\n{text}"[:LETTERS])
        for id_, title, text in load_beir_corpus(folder)
    }
    usable = [
        one
        for one in list(queries)[:-QUOTED]
        if holds(corpus[next(iter(judged[one]))].page_content, answers[one])
    ]
    random.Random(0).shuffle(usable)  # noqa: S311
    held, rest = usable[:JUDGED], usable[JUDGED:]
    hidden = {document for one in held for document in judged[one]}
    learned = [one for one in rest if not hidden & judged[one].keys()][:count]
    parts: list[list[ReflectionRow]] = []
    with tempfile.TemporaryDirectory() as place:
        index = BM25Index(place)
        index.add(list(corpus.values()))
        for some in (learned, held):
            found = index.search_many([Query(queries[one]) for one in some], k=30)
            parts.append(
                [
                    row
                    for one, documents in zip(some, found, strict=True)
                    for row in rows_of(
                        queries[one],
                        answers[one],
                        corpus[next(iter(judged[one]))],
                        [d for d in documents if parts or d.id not in hidden],
                        swapped(one, some, queries, answers),
                    )
                ]
            )
        index.close()
    return parts[0], parts[1]


def rows_of(
    question: str,
    answers: Sequence[str],
    gold: Document,
    found: Sequence[Document],
    wrong: str,
) -> list[ReflectionRow]:
    """A relevant passage with its answer, with a wrong one, and a passage that does not help."""
    text = gold.page_content
    others = [d.page_content for d in found if d.id != gold.id]
    other = next((one for one in others if not holds(one, answers)), None)
    if other is None:  # its answer is a word that all passages have
        return []
    right = next(one for one in answers if one.casefold() in text.casefold())
    same: dict[str, Any] = {"retrieve": True, "group": question}
    return [
        ReflectionRow(question, right, text, relevance=True, support="fully", **same),
        ReflectionRow(question, wrong, text, support="none", **same),
        ReflectionRow(question, "", other, relevance=False, **same),
    ]


def swapped(
    one: str, others: Sequence[str], queries: dict[str, str], answers: dict[str, list[str]]
) -> str:
    """The answer to the next question that begins with the same word."""
    start = list(others).index(one)
    order = [*others[start + 1 :], *others[:start]]
    first = queries[one].split()[0]
    alike = [other for other in order if queries[other].split()[0] == first]
    own = {answer.casefold() for answer in answers[one]}
    given = (answers[other][0] for other in (*alike, *order))
    return next(one for one in given if one.casefold() not in own)


def holds(text: str, answers: Sequence[str]) -> bool:
    """Whether a text has one of the answers in it."""
    return any(one.casefold() in text.casefold() for one in answers)


def cases(rows: Sequence[ReflectionRow]) -> dict[str, list[tuple[Judgement, bool]]]:
    """What is judged, and what is right, by aspect."""

    def of(row: ReflectionRow, aspect: Any) -> Judgement:
        passage = Document(page_content=row.passage) if aspect != "retrieve" else None
        answer = row.answer if aspect == "support" else ""
        return Judgement(aspect=aspect, question=row.question, passage=passage, segment=answer)

    first = {row.question: row for row in rows if row.retrieve is not None}
    alone = [row for row in rows if row.support != "none" and row.passage]
    return {
        "relevance": [(of(row, "relevance"), bool(row.relevance)) for row in alone],
        "retrieval": [(of(row, "retrieve"), bool(row.retrieve)) for row in first.values()],
        "support": [(of(row, "support"), row.support == "fully") for row in rows if row.support],
    }


SCORES: dict[str, Callable[[Any], float]] = {
    "relevance": relevance_score,
    "retrieval": lambda given: retrieve_probability(given) or 0.0,
    "support": support_score,
}


def features(one: Judgement) -> dict[str, float]:
    """The words of each part, and those that parts share."""
    parts = {"question": one.question, "segment": one.segment}
    if one.passage:
        parts["passage"] = one.passage.page_content
    words = {name: set(WORD.findall(text.casefold())) for name, text in parts.items()}
    found = {f"{name}: {word}": 1.0 for name, some in words.items() for word in some}
    for name in ("question", "segment"):
        shared = words[name] & words.get("passage", set())
        found |= {f"{name} in passage: {word}": 1.0 for word in shared}
        found[f"{name} in passage"] = 5 * len(shared) / max(1, len(words[name]))
    return found


def bag_of_words(learned: Sequence[tuple[Judgement, bool]]) -> Any:
    """A classifier by words."""
    model = make_pipeline(DictVectorizer(), LogisticRegression(max_iter=2000, random_state=0))
    return model.fit([features(one) for one, _ in learned], [right for _, right in learned])


def told(flags: Sequence[bool]) -> str:
    interval = mean_interval([float(flag) for flag in flags])
    return f"{interval.mean:.3f} ({interval.low:.2f} to {interval.high:.2f})"


def train(base: str, rows: Sequence[ReflectionRow], folder: Path) -> tuple[Any, float]:
    """The critic, and how long it took in all."""
    settings = ReflectionSettings(
        base=f"hf:{base}",
        out=str(folder / "run"),
        learns="critic",
        lora=LoraSettings(r=16, alpha=32),
        epochs=1,
        batch_size=8,
        learning_rate=1e-3,
        eval_share=0.0,
        max_tokens=320,
        device="cpu",
        threads=1,
    )
    started = time.monotonic()

    def tell(progress: Any) -> None:
        if progress.step % 5 == 0:
            left = f"{progress.seconds_left:.0f} s left"
            print(f"{progress.step}/{progress.steps} {progress.loss:.4f} {left}", flush=True)

    trained = train_self_rag(settings, rows, on_progress=tell)
    print(trained.report.seconds, time.monotonic() - started)
    return trained, trained.report.seconds


def served(base: str, trained: Any) -> ReflectionModel:
    """The critic as it serves: hot, on the base."""
    engine = TransformersEngine.load(base, TransformersSettings(device="cpu", threads=1))
    adapters = AdapterEngine(engine, AdapterStore(tempfile.mkdtemp()))
    adapters.promote(adapters.store.register(trained.folder, "critic", manifest=trained.manifest))
    chat = adapters.chat_model("critic")
    return ReflectionModel(chat, token_ids=chat.token_rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--questions", type=int, default=200, help="of NQ-Open, to learn from")
    arguments = parser.parse_args()
    learned, held = open_rows(arguments.questions)
    learned, held = learned + closed_rows("learn"), held + closed_rows("judge")
    known, asked = cases(learned), cases(held)
    folder = WORK / f"{arguments.base}-{arguments.questions}"
    trained, seconds = train(arguments.base, learned, folder)
    critic = served(arguments.base, trained)
    rows: list[list[object]] = []
    figures: dict[str, Any] = {"training seconds": seconds, "rows": len(learned)}
    for aspect, pairs in asked.items():
        words = bag_of_words(known[aspect])
        by_words = words.predict([features(one) for one, _ in pairs])
        judged = critic.judge([one for one, _ in pairs])
        said = [SCORES[aspect](one.probabilities) > HALF for one in judged]
        right = [flag for _, flag in pairs]
        ours = [one == flag for one, flag in zip(said, right, strict=True)]
        theirs = [bool(one) == flag for one, flag in zip(by_words, right, strict=True)]
        share = sum(right) / len(right)
        rows.append([aspect, len(right), max(share, 1 - share), told(theirs), told(ours)])
        figures[aspect] = {
            "accuracy": sum(ours) / len(ours),
            "bag of words": sum(theirs) / len(theirs),
            "cases": len(ours),
        }
    names = ("judgement", "cases", "majority", "bag of words", "critic")
    print_table(f"{arguments.base}, {len(learned)} rows, {seconds:.0f} s", names, rows)
    missed = {name: bar for name, bar in BARS.items() if figures[name]["accuracy"] < bar}
    print(f"Bars missed: {missed or 'none'}")
    figures |= {"base": arguments.base, "bars": BARS, "missed": sorted(missed)}
    finish("self_rag_training", figures, packages=("torch", "peft", "scikit-learn"))


if __name__ == "__main__":
    main()
