"""AutoGen's seven RetrieveChat cases in ours, beside what AutoGen's notebook printed.

Five questions of NaturalQuestions, with UPDATE CONTEXT, and two of 2WikiMultihopQA, with an answer
prefix, over the 145 passages that the notebook printed; found by the same embedder, with the
notebook's `retrieve_config` as it is. What differs: AutoGen asked gpt-3.5-turbo, with 3,200 tokens
of passages at a time, out of thousands of passages, and in the last two cases with a long prompt of
examples. Ours is a small local model with 400 tokens at a time, five rounds at most, and a short
prompt. So it is shown that each case runs and ends, and how; the answers are not a race.

The path: what each round brought, "next" documents of the ranking, a "wider" search, documents
"appended" by an answer on the way, or "nothing". Replies are kept.

    GRAFT_BENCH_DATA=... python benchmarks/autogen_cases.py [--model qwen2.5-coder-1.5b]
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from report import data_folder, finish, print_table

from langchain_graft import KnowledgeBase, load_chat_model
from langchain_graft.agents import RetrieveConfig, create_retrieve_chat
from langchain_graft.evaluation.answers import answer_f1, contains_answer
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache

DATA = "autogen_retrievechat"
EMBEDDINGS = "minilm"
CONTEXT_TOKENS = 400
ROUNDS, MULTIHOP_ROUNDS = 10, 3
"""The notebook's `max_consecutive_auto_reply`."""
PROMPT = """\
Context:

{input_context}

Question: {input_question}

Think step by step, in two or three short sentences, from the context alone. If it tells what is \
needed, end with: So the answer is: (the answer in a few words). Otherwise name what is missing."""
NOTEBOOK: dict[str, Any] = {
    "task": "qa",
    "chunk_token_size": 2000,
    "model": "gpt-35-turbo",
    "collection_name": "natural-questions",
    "chunk_mode": "one_line",
    "embedding_model": "all-MiniLM-L6-v2",
}
"""Its `retrieve_config`, without `docs_path` and `client`."""
MULTIHOP = {
    "collection_name": "2wikimultihopqa",
    "customized_prompt": PROMPT,
    "customized_answer_prefix": "the answer is",
}


class Printed(NamedTuple):
    """AutoGen's case: how often the context was updated, and the last reply."""

    updates: int
    reply: str


# Printed by the notebook agentchat_RetrieveChat (microsoft/autogen 2197bd6; CC BY 4.0), in order.
PRINTED = (
    Printed(
        0,
        "Non controlling interest on a balance sheet refers to the portion of a subsidiary's stock "
        "that is not owned by the parent company. It represents the equity stake held by outside "
        "investors in the subsidiary.",
    ),
    Printed(0, "Chicago Fire season 4 has 23 episodes."),
    Printed(1, "Bulls are typically used for breeding purposes on farms."),
    Printed(
        2,
        "Virat Kohli has been honored with the Wisden Leading Cricketer in the World Award for "
        "2016.",
    ),
    Printed(1, "Erin Hamlin carried the USA flag in the opening ceremony."),
    Printed(
        0,
        "Blind Shaft is a film directed by Li Yang and was released in the year 2003. The Mask of "
        "Fu Manchu, on the other hand, is a pre-Code adventure film directed by Charles Brabin and "
        "was released in the year 1932. Thus, The Mask of Fu Manchu came out earlier than Blind "
        "Shaft. So the answer is: The Mask of Fu Manchu.",
    ),
    Printed(
        2,
        "No, North Marion High School is located in the United States, specifically in Oregon, "
        "while Seoul High School is located in South Korea. So the answer is: no.",
    ),
)


def config_of(case: dict[str, Any], asks_by: str) -> RetrieveConfig:
    """The notebook's settings, with less room."""
    multihop = case["set"] == "2wiki"
    given = NOTEBOOK | (MULTIHOP if multihop else {})
    config = RetrieveConfig.from_autogen(given, n_results=10 if multihop else 30)
    rounds = MULTIHOP_ROUNDS if multihop else ROUNDS
    return config.but(context_tokens=CONTEXT_TOKENS, max_rounds=rounds, asks_by=asks_by)


def measured(answer: str, accepted: Sequence[str]) -> dict[str, float]:
    """Of a multi-hop answer, what follows the prefix is measured."""
    last = answer.lower().rpartition("the answer is")[2].lstrip(": ")
    return {"f1": answer_f1(last, accepted), "contains": contains_answer(last, accepted)}


def talked(model: Any, retriever: Any, case: dict[str, Any], asks_by: str) -> dict[str, Any]:
    chat = create_retrieve_chat(model, retriever, config=config_of(case, asks_by))
    out = chat.invoke({"input": case["text"]})
    return {
        "question": case["text"],
        "asks_by": asks_by,
        "answer": out["answer"],
        "path": out["updates"],
        "rounds": out["rounds"],
        "ended": out["ended"],
        "verified": [one["verified"] for one in out["citations"]],
        **measured(out["answer"], case["answer"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--asks-by", nargs="*", default=["check", "line"])
    arguments = parser.parse_args()
    lines = (data_folder(DATA) / "queries.jsonl").read_text("utf-8").splitlines()
    cases = [json.loads(line) for line in lines]
    model = with_reply_cache(load_chat_model(arguments.model, max_tokens=96), ReplyCache())
    ours = []
    with tempfile.TemporaryDirectory() as folder:
        kb = KnowledgeBase.create(Path(folder) / "kb", embeddings=EMBEDDINGS)
        kb.ingest_beir(data_folder(DATA))
        retriever = kb.retriever("vector")
        for asks_by in arguments.asks_by:
            for case in cases:
                if asks_by == "check" and case["set"] == "2wiki":
                    continue  # with a prompt of one's own, the reply says it
                ours.append(talked(model, retriever, case, asks_by))
                print(ours[-1], flush=True)
        kb.close()
    theirs = [
        {"question": case["text"], "updates": one.updates, "reply": one.reply}
        | measured(one.reply, case["answer"])
        for case, one in zip(cases, PRINTED, strict=True)
    ]
    show(ours, theirs)
    figures = {"model": arguments.model, "ours": ours, "autogen": theirs}
    finish("autogen_cases", figures, packages=["langgraph", "xllamacpp"])


def show(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> None:
    printed = {one["question"]: one for one in theirs}
    rows = [
        [
            one["question"][:44],
            one["asks_by"],
            " ".join(one["path"]) or "-",
            one["ended"],
            one["answer"][:60],
            one["contains"],
            printed[one["question"]]["updates"],
            printed[one["question"]]["reply"][-60:],
            printed[one["question"]]["contains"],
        ]
        for one in ours
    ]
    names = ["question", "asks by", "path", "ended", "answer", "has it"]
    print_table("AutoGen's cases", [*names, "AutoGen's updates", "its reply", "has it"], rows)


if __name__ == "__main__":
    main()
