"""Answers to the 60 example questions: ours against LangChain's retrieval chain, the same model.

Both ask the same documents of the same knowledge base. LangChain's chain has the prompt of its own
tutorial (rlm/rag-prompt), which tells the model to say so when it does not know; it cites nothing.
Replies are kept, so that a run that was stopped goes on.

    python benchmarks/answers.py [--model qwen2.5-coder-1.5b] [--limit N]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_classic.chains.retrieval import create_retrieval_chain
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda
from report import finish, print_table

from langchain_graft import KnowledgeBase, create_rag_chain, load_chat_model
from langchain_graft.chains import is_refusal
from langchain_graft.chains.packing import pack_documents
from langchain_graft.evaluation.bootstrap import Interval, paired_bootstrap
from langchain_graft.evaluation.datasets import Question, load_questions
from langchain_graft.evaluation.rag import AnswerRow, answer_summary, evaluate_answers
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
from langchain_graft.models.tokens import estimate_tokens

EXAMPLES = Path(__file__).parents[1] / "examples"
K = 5
CONTEXT_TOKENS = 800
PROMPT = ChatPromptTemplate.from_template(
    "You are an assistant for question-answering tasks. Use the following pieces of retrieved "
    "context to answer the question. If you don't know the answer, just say that you don't know. "
    "Use three sentences maximum and keep the answer concise.\n"
    "Question: {input} \nContext: {context} \nAnswer:"
)


def peer(model: Any, retriever: Any) -> Runnable[Any, Any]:
    """LangChain's retrieval chain, over the same packed documents."""

    def pack(documents: Any) -> Any:
        packed = pack_documents(documents, budget=CONTEXT_TOKENS, count_tokens=estimate_tokens)
        return packed.documents

    answering = create_stuff_documents_chain(model, PROMPT)
    asked = RunnableLambda(lambda state: state["input"])
    chain = create_retrieval_chain(asked | retriever | RunnableLambda(pack), answering)
    return (
        RunnableLambda(lambda question: {"input": question})
        | chain
        | RunnableLambda(lambda output: {**output, "citations": []})
    )


def both(model: Any, questions: list[Question]) -> tuple[list[AnswerRow], list[AnswerRow]]:
    with tempfile.TemporaryDirectory() as folder:
        kb = KnowledgeBase.create(Path(folder) / "kb")
        kb.ingest(EXAMPLES / "corpus")
        retriever = kb.retriever(k=K)
        chain = create_rag_chain(model, retriever, context_tokens=CONTEXT_TOKENS)
        ours = evaluate_answers(chain, questions, is_refusal=is_refusal)
        theirs = evaluate_answers(peer(model, retriever), questions, is_refusal=is_refusal)
        kb.close()
    return ours, theirs


def told(interval: Interval | None) -> str:
    return f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})" if interval else "-"


def difference(name: str, ours: list[AnswerRow], theirs: list[AnswerRow]) -> Interval:
    return paired_bootstrap(
        [float(getattr(row, name)) for row in ours], [float(getattr(row, name)) for row in theirs]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    cache = ReplyCache()
    model = with_reply_cache(load_chat_model(arguments.model, max_tokens=256), cache)
    questions = load_questions(EXAMPLES / "questions.jsonl")[: arguments.limit]
    ours, theirs = both(model, questions)
    answerable = {question.id for question in questions if question.answerable}
    mine = answer_summary(ours, questions)
    peers = answer_summary(theirs, questions)
    uncited = {name for name in mine if "cit" in name}
    rows = [(n, told(mine[n]), "-" if n in uncited else told(peers.get(n))) for n in mine]
    names = ("metric", "ours", "LangChain's retrieval chain")
    print_table(f"{len(questions)} questions, {arguments.model}", names, rows)
    paired = [[row for row in some if row.id in answerable] for some in (ours, theirs)]
    differences = {name: difference(name, *paired) for name in ("contains", "f1")}
    for name, interval in differences.items():
        print(f"{name}, ours - theirs: {told(interval)}")
    figures = {"ours": mine, "theirs": peers, "differences": differences}
    finish("answers", figures, packages=("langchain-classic", "xllamacpp"))


if __name__ == "__main__":
    main()
