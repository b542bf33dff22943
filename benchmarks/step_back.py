"""Step-back on questions of time: the model alone, RAG, step-back, step-back + RAG in one table.

The table of Zheng et al. 2023 (Take a Step Back, TimeQA), with a small model: 60 seeded questions
that have an answer, all paragraphs of the training articles to look them up in, by words. All four
are asked for a few words, none refuses. Replies are kept, so that a run that was stopped goes on.

    python benchmarks/step_back.py [--model qwen2.5-coder-1.5b] [--limit N]
"""

import argparse
import json
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda
from report import data_folder, finish, print_table

from langchain_graft import create_rag_chain, load_chat_model
from langchain_graft.chains import (
    STEP_PROMPT,
    create_plain_chain,
    create_step_back_chain,
    is_refusal,
)
from langchain_graft.chains.rag import RagSettings
from langchain_graft.evaluation.bootstrap import Interval, mean_interval, paired_bootstrap
from langchain_graft.evaluation.datasets import Question
from langchain_graft.evaluation.rag import AnswerRow, evaluate_answers
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
from langchain_graft.retrievers import BM25Index
from langchain_graft.retrievers.rewriters.step_back import create_step_back_rewriter

QUESTIONS = 60
K = 5
CONTEXT_TOKENS = 400
ANSWER_TOKENS = 32
METRICS = ("exact_match", "f1", "contains")
BRIEFLY = "Answer with a name, a number, a date or a few words, no sentence. {language_rule}"
ALONE = ChatPromptTemplate.from_template("Question: {input}\n\n" + BRIEFLY)
ABSTRACT = ChatPromptTemplate.from_template(
    "Background:\n{step_back_question}\n{principle}\n\nQuestion: {input}\n\n" + BRIEFLY
)
_SPACED = re.compile(r"\s+([.,;:?!)])")


def load(folder: Path) -> tuple[list[Question], list[Document]]:
    """The sampled questions, and every paragraph of the training articles."""
    gold: dict[str, list[str]] = {}
    for line in (folder / "qrels.train.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, *_ = line.split("\t")
        gold.setdefault(query, []).append(document)
    asked = [row for row in rows_of(folder / "queries.jsonl") if row["_id"] in gold]
    questions = [
        Question(
            id=row["_id"],
            question=row["text"],
            answers=tuple(_SPACED.sub(r"\1", answer) for answer in row["answer"]),
            documents=tuple(gold[row["_id"]]),
        )
        for row in random.Random(0).sample(asked, QUESTIONS)  # noqa: S311
    ]
    documents = [
        Document(
            id=row["_id"],
            page_content=_SPACED.sub(r"\1", row["text"]),
            metadata={"title": row["title"], "source_id": row["_id"]},
        )
        for row in rows_of(folder / "corpus.jsonl")
        if row["split"] == "train"
    ]
    return questions, documents


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def systems(model: Any, brief: Any, retriever: Any) -> dict[str, Runnable[Any, Any]]:
    """The four, each asked for a few words; `brief` is the model with short replies."""
    settings = RagSettings(
        prompt=STEP_PROMPT, check=None, context_tokens=CONTEXT_TOKENS, attribute=False
    )
    rewriter = create_step_back_rewriter(model)
    return {
        "model alone": create_plain_chain(brief, prompt=ALONE),
        "RAG": create_rag_chain(brief, retriever, **settings),
        "step-back": create_step_back_chain(model, rewriter=rewriter, prompt=ABSTRACT),
        "step-back + RAG": create_step_back_chain(brief, retriever, rewriter=rewriter, **settings),
    }


def ask(
    chain: Runnable[Any, Any], questions: Sequence[Question]
) -> tuple[list[AnswerRow], list[float], float]:
    """Its answers, whether its context held a gold paragraph, and seconds a question."""
    found: list[float] = []
    gold = {question.question: set(question.documents) for question in questions}

    def kept(question: str) -> dict[str, Any]:
        output: dict[str, Any] = chain.invoke(question)
        found.append(float(bool(gold[question] & {one.id for one in output["context"]})))
        return output

    started = time.perf_counter()
    rows = evaluate_answers(RunnableLambda(kept), questions, is_refusal=is_refusal)
    return rows, found, (time.perf_counter() - started) / len(questions)


def told(interval: Interval) -> str:
    return f"{interval.mean:.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def values(rows: Sequence[AnswerRow], metric: str) -> list[float]:
    return [float(getattr(row, metric)) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    questions, documents = load(data_folder("timeqa_train"))
    questions = questions[: arguments.limit]
    cache = ReplyCache()
    model = with_reply_cache(load_chat_model(arguments.model, max_tokens=160), cache)
    brief = with_reply_cache(load_chat_model(arguments.model, max_tokens=ANSWER_TOKENS), cache)
    index = BM25Index()
    index.add(documents)
    rewriter = create_step_back_rewriter(model)
    for question in questions:  # one after another: the server reads their common beginning once
        rewriter.invoke(question.question)
    answered = {
        name: ask(chain, questions)
        for name, chain in systems(model, brief, index.as_retriever(k=K)).items()
    }
    index.close()
    base, _, _ = answered["RAG"]
    means = {
        name: {metric: mean_interval(values(rows, metric)) for metric in METRICS}
        | {"gold_in_context": mean_interval(found)}
        for name, (rows, found, _) in answered.items()
    }
    differences = {
        name: {m: paired_bootstrap(values(rows, m), values(base, m)) for m in METRICS}
        for name, (rows, _, _) in answered.items()
        if name != "RAG"
    }
    names = ("", *METRICS, "gold in context", "F1 against RAG (95 %)", "s a question")
    table = [
        (
            name,
            *(of[metric].mean for metric in METRICS),
            of["gold_in_context"].mean,
            told(differences[name]["f1"]) if name in differences else "",
            answered[name][2],
        )
        for name, of in means.items()
    ]
    print_table(f"{len(questions)} questions of TimeQA, {arguments.model}", names, table)
    figures = {
        "questions": len(questions),
        "model": arguments.model,
        "means": means,
        "against_rag": differences,
    }
    finish("step_back", figures, packages=("langchain-core", "xllamacpp"))


if __name__ == "__main__":
    main()
