"""`graft eval`."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_graft.cli.options import (
    RETRIEVERS,
    REWRITING,
    add_answering,
    add_json,
    add_kb,
    load_model,
    make_chain,
    make_retriever,
    model_spec,
    open_filled,
    positive,
    retriever_kind,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from langchain_core.language_models import BaseChatModel

    from langchain_graft.evaluation.bootstrap import Interval
    from langchain_graft.evaluation.datasets import Question
    from langchain_graft.knowledge_base import KnowledgeBase
    from langchain_graft.models.pull import OnProgress

EXAMPLES = """\
examples:
  graft eval --kb my-kb --questions questions.jsonl
  graft eval --kb my-kb --questions questions.jsonl --retrieval-only
  graft eval --kb my-kb --questions questions.jsonl --retrieval-only --adapter medical@000002
  graft eval --beir scifact/ --kb scifact-kb --retriever bm25
  graft eval --beir scifact/ --kb scifact-kb --split train --limit 200 --calibrate

--adapter measures an adapter that does not serve: one of the chat model by its answers, one of
the embedder (or a query map) by its search, for which passages may be embedded in a scratch folder.

--retriever fusion rewrites every question with the model, adaptive only those whose search looks
weak; --calibrate measures what weak means here, and keeps it in the knowledge base.

A questions file has a JSON object a line: {"question", "answers", "documents", "answerable"}.
Replies of the model are kept, so that an evaluation that was stopped goes on where it was.
"""

_DEPTH = 50
_QUERY_BATCH = 64
_REWRITTEN_BATCH = 4  # so that progress is seen to move


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_kb(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--questions", type=Path, metavar="FILE", help="questions with answers")
    what.add_argument("--beir", type=Path, metavar="FOLDER", help="a BEIR folder's queries")
    parser.add_argument("--split", default="test", help="of the BEIR folder (default: test)")
    parser.add_argument("--limit", type=positive, metavar="N", help="the first N questions only")
    parser.add_argument("--retrieval-only", action="store_true", help="measure no answers")
    parser.add_argument("--no-cache", action="store_true", help="ask the model everything anew")
    parser.add_argument(
        "--rows", type=Path, metavar="FILE", help="write every answer as JSON lines"
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="measure when rewriting a question pays in hybrid search, and keep it",
    )
    add_answering(parser, retrievers=(*RETRIEVERS, *REWRITING))
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and show the figures."""
    from langchain_graft.cli.console import print_json, progress  # noqa: PLC0415

    if arguments.calibrate and (arguments.retriever or arguments.retrieval_only or arguments.rows):
        msg = (
            "--calibrate searches by hybrid, with and without rewriting, and writes no answers: "
            "leave --retriever, --retrieval-only and --rows out"
        )
        raise ValueError(msg)
    with ExitStack() as stack:
        on_progress = stack.enter_context(progress())
        kb = stack.enter_context(closing(open_filled(arguments.kb, on_progress)))
        kb = stack.enter_context(_with_adapter(arguments, kb, on_progress))
        by_source = _beir if arguments.beir else _questions
        measure = _calibrate if arguments.calibrate else by_source
        figures = measure(arguments, kb, on_progress)
    if arguments.adapter or arguments.embeddings_adapter:
        figures["adapter"] = arguments.embeddings_adapter or arguments.adapter
    if arguments.json:
        print_json(figures)
    else:
        (_print_calibration if arguments.calibrate else _print)(figures)
    return 0


@contextmanager
def _with_adapter(
    arguments: argparse.Namespace, kb: KnowledgeBase, on_progress: OnProgress
) -> Iterator[KnowledgeBase]:
    """The knowledge base as it is searched with the adapter, if that is one on the embedder."""
    arguments.embeddings_adapter = None
    ref = kb.adapters.resolve(arguments.adapter) if _is_named(arguments.adapter) else None
    if ref is None or kb.adapters.manifest(ref).kind == "generator":
        yield kb
        return
    from langchain_graft.knowledge_base.trial import trial_of  # noqa: PLC0415

    arguments.embeddings_adapter, arguments.adapter = str(ref), None
    with trial_of(kb, ref, on_progress=on_progress) as trial:
        yield trial


def _is_named(adapter: str | None) -> bool:
    from langchain_graft.finetune_bridge.adapters.ref import RELEASE  # noqa: PLC0415

    return bool(adapter) and adapter != RELEASE


def _beir(
    arguments: argparse.Namespace, kb: KnowledgeBase, on_progress: OnProgress
) -> dict[str, Any]:
    from langchain_graft.evaluation.bootstrap import mean_interval  # noqa: PLC0415
    from langchain_graft.evaluation.ranking import ranking_metrics  # noqa: PLC0415

    queries, judged = _judged(arguments)
    rankings = _rank(arguments, kb, queries, on_progress)
    metrics = ranking_metrics(rankings, {query: judged[query] for query in queries})
    intervals = {name: mean_interval(list(values.values())) for name, values in metrics.items()}
    return {
        "questions": len(queries),
        "retriever": retriever_kind(arguments),
        "metrics": _as_json(intervals),
    }


def _questions(
    arguments: argparse.Namespace, kb: KnowledgeBase, on_progress: OnProgress
) -> dict[str, Any]:
    from langchain_graft.evaluation.datasets import load_questions  # noqa: PLC0415
    from langchain_graft.evaluation.rag import retrieval_summary  # noqa: PLC0415

    questions = load_questions(arguments.questions)[: arguments.limit]
    asked = {question.id: question.question for question in questions}
    rankings = _rank(arguments, kb, asked, on_progress)
    figures: dict[str, Any] = {
        "questions": len(questions),
        "retriever": retriever_kind(arguments),
        "metrics": _as_json(retrieval_summary(rankings, questions)),
    }
    if not arguments.retrieval_only:
        figures["model"] = model_spec(arguments, kb)
        figures["metrics"] |= _answers(arguments, kb, questions, on_progress)
    return figures


def _calibrate(
    arguments: argparse.Namespace, kb: KnowledgeBase, on_progress: OnProgress
) -> dict[str, Any]:
    """Search every question with and without rewrites; keep when rewriting pays."""
    from dataclasses import asdict  # noqa: PLC0415

    from langchain_graft.evaluation.bootstrap import mean_interval  # noqa: PLC0415
    from langchain_graft.knowledge_base import calibrate, compare_rewriting  # noqa: PLC0415
    from langchain_graft.retrievers import create_multi_query_rewriter  # noqa: PLC0415

    queries, judged = _judged(arguments)
    retriever = kb.retriever(
        "hybrid",
        filter=arguments.filter,
        rewriter=create_multi_query_rewriter(_model(arguments, on_progress, kb)),
    )
    compared = compare_rewriting(retriever, queries, judged, on_progress=on_progress)
    weakness = calibrate(compared)
    kb.keep_weakness(weakness)
    searches = {
        "hybrid": (0.0, compared.plain),
        "fusion": (1.0, compared.rewritten),
        "adaptive": (compared.rewritten_share(weakness), compared.adaptive(weakness)),
    }
    ndcg = {name: mean_interval(values) for name, (_, values) in searches.items()}
    return {
        "questions": len(compared.plain),
        "thresholds": asdict(weakness),
        "rewritten": {name: round(share, 4) for name, (share, _) in searches.items()},
        "ndcg@10": _as_json(ndcg),
    }


def _judged(
    arguments: argparse.Namespace,
) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """Query id to text, and to which documents are right."""
    from langchain_graft.evaluation.datasets import load_beir, load_questions  # noqa: PLC0415

    if arguments.beir:
        queries, judged = load_beir(arguments.beir, split=arguments.split)
    else:
        questions = load_questions(arguments.questions)
        queries = {question.id: question.question for question in questions}
        judged = {question.id: dict.fromkeys(question.documents, 1) for question in questions}
    return dict(list(queries.items())[: arguments.limit]), judged


def _rank(
    arguments: argparse.Namespace,
    kb: KnowledgeBase,
    queries: Mapping[str, str],
    on_progress: OnProgress,
) -> dict[str, list[str]]:
    """Query id to source ids, best first."""
    from langchain_graft.evaluation.ranking import distinct  # noqa: PLC0415

    retriever = make_retriever(
        arguments, kb, k=_DEPTH, load=lambda: _model(arguments, on_progress, kb)
    )
    batch = _REWRITTEN_BATCH if arguments.retriever in REWRITING else _QUERY_BATCH
    ids, texts = list(queries), list(queries.values())
    rankings = {}
    for start in range(0, len(ids), batch):
        part = slice(start, start + batch)
        for query, found in zip(ids[part], retriever.search_many(texts[part]), strict=True):
            rankings[query] = distinct([document.metadata["source_id"] for document in found])
        on_progress("retrieve", len(rankings), len(ids))
    return rankings


def _model(
    arguments: argparse.Namespace, on_progress: OnProgress, kb: KnowledgeBase
) -> BaseChatModel:
    """The chat model, whose replies are kept."""
    from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache  # noqa: PLC0415

    model = load_model(arguments, on_progress, kb)
    if arguments.no_cache:
        return model
    return with_reply_cache(model, ReplyCache())


def _answers(
    arguments: argparse.Namespace,
    kb: KnowledgeBase,
    questions: Sequence[Question],
    on_progress: OnProgress,
) -> dict[str, Any]:
    import json  # noqa: PLC0415

    from langchain_graft.chains import is_refusal  # noqa: PLC0415
    from langchain_graft.evaluation.rag import (  # noqa: PLC0415
        answer_summary,
        evaluate_answers,
        rows_as_json,
    )

    rows = evaluate_answers(
        make_chain(arguments, kb, _model(arguments, on_progress, kb)),
        questions,
        is_refusal=is_refusal,
        on_answer=lambda done, total: on_progress("answer", done, total),
    )
    if arguments.rows:
        lines = (json.dumps(row, ensure_ascii=False) for row in rows_as_json(rows))
        arguments.rows.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return _as_json(answer_summary(rows, questions))


def _as_json(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {
        name: {key: round(value, 4) for key, value in interval._asdict().items()}
        for name, interval in intervals.items()
    }


def _print(figures: Mapping[str, Any]) -> None:
    from langchain_graft.cli.console import print_table  # noqa: PLC0415

    rows = [
        (name, f"{value['mean']:.3f}", f"{value['low']:.3f} to {value['high']:.3f}")
        for name, value in figures["metrics"].items()
    ]
    print_table(f"{figures['questions']} questions", ("metric", "mean", "95 % interval"), rows)


def _print_calibration(figures: Mapping[str, Any]) -> None:
    from langchain_graft.cli.console import print_table  # noqa: PLC0415

    rows = [
        (name, f"{of['mean']:.3f}", f"{of['low']:.3f} to {of['high']:.3f}", f"{share:.0%}")
        for (name, of), share in zip(
            figures["ndcg@10"].items(), figures["rewritten"].values(), strict=True
        )
    ]
    names = ("search", "nDCG@10", "95 % interval", "rewritten")
    print_table(f"{figures['questions']} questions, on which it was chosen", names, rows)
    print_table("weak is below", ("signal", "threshold"), list(_texts(figures["thresholds"])))


def _texts(thresholds: Mapping[str, float | None]) -> Iterator[tuple[str, str]]:
    for name, value in thresholds.items():
        yield name, "not asked" if value is None else f"{value:.3f}"
