"""Thresholds for rewriting, chosen from questions whose documents are known."""

import math

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_graft.knowledge_base import Comparison, calibrate, compare_rewriting
from langchain_graft.retrievers import FusionRetriever, Query, Weakness
from langchain_graft.retrievers.weakness import Signals


def compared(plain, rewritten, overlaps):
    return Comparison(
        signals=[Signals(overlap=overlap) for overlap in overlaps], plain=plain, rewritten=rewritten
    )


def test_only_what_gains_is_rewritten():
    half = [1.0] * 8 + [0.2] * 8, [1.0] * 8 + [0.9] * 8, [0.9] * 8 + [0.1] * 8
    found = calibrate(compared(*half))
    questions = compared(*half)
    assert questions.rewritten_share(found) == 0.5
    assert questions.adaptive(found) == [1.0] * 8 + [0.9] * 8


def test_where_rewriting_harms_nothing_is_rewritten():
    questions = compared([1.0] * 8, [0.0] * 8, [n / 8 for n in range(8)])
    assert questions.rewritten_share(calibrate(questions)) == 0
    assert calibrate(questions) == Weakness(top_score=None, margin=None, overlap=None)


def test_the_cheapest_within_the_tolerance():
    questions = compared([0.5] * 16, [0.51] * 16, [n / 16 for n in range(16)])
    assert questions.rewritten_share(calibrate(questions, tolerance=0.0)) > 0.5
    assert questions.rewritten_share(calibrate(questions, tolerance=0.02)) == 0


def document(id_):
    return Document(id=id_, page_content=id_)


def searches():
    found = {"easy?": "ab", "hard?": "xy", "other": "b"}
    words = RunnableLambda(lambda query: [document(id_) for id_ in found[query]])
    return FusionRetriever(
        retrievers=[words, words],
        rewriter=RunnableLambda(lambda _: [Query("other", weight=9.0)]),
        original_weight=1.0,
    )


def test_every_question_is_searched_both_ways():
    told = []
    result = compare_rewriting(
        searches(),
        {"1": "easy?", "2": "hard?", "3": "not judged"},
        {"1": {"a": 1}, "2": {"b": 1}},
        on_progress=lambda *progress: told.append(progress),
    )
    assert result.plain == [1.0, 0.0]
    assert result.rewritten == [pytest.approx(0.6309, abs=1e-4), 1.0]
    assert [signals.overlap for signals in result.signals] == [1.0, 1.0]
    assert told == [("rewrite", 2, 2)]


@pytest.mark.parametrize("judged", [{}, {"1": {}}])
def test_nothing_judged(judged):
    with pytest.raises(ValueError, match="questions with their documents"):
        compare_rewriting(searches(), {"1": "easy?"}, judged)


def test_nothing_that_rewrites():
    plain = searches().model_copy(update={"rewriter": None})
    with pytest.raises(ValueError, match="a retriever with a rewriter"):
        compare_rewriting(plain, {"1": "easy?"}, {"1": {"a": 1}})


def test_a_rewriter_that_always_fails_is_no_measurement():
    def fail(question):
        if down or question == "easy?":
            raise OSError(question)
        return [Query("other", weight=9.0)]

    failing = searches().model_copy(update={"rewriter": RunnableLambda(fail)})
    asked = {"1": "easy?", "2": "hard?"}, {"1": {"a": 1}, "2": {"b": 1}}
    down = True
    with pytest.raises(OSError, match=r"easy\?"):
        compare_rewriting(failing, *asked)
    down = False
    result = compare_rewriting(failing, *asked)
    assert (result.plain, result.rewritten) == ([1.0, 0.0], [1.0, 1.0])


def test_a_document_of_many_chunks_takes_one_place():
    chunks = [document(f"wrong {n}") for n in range(20)]
    long = [one.model_copy(update={"metadata": {"source_id": "wrong"}}) for one in chunks]
    search = RunnableLambda(lambda _: [*long, document("right")])
    fusion = FusionRetriever(retrievers=[search], rewriter=RunnableLambda(lambda _: []))
    found = compare_rewriting(fusion, {"1": "q?"}, {"1": {"right": 1}})
    assert found.plain == [pytest.approx(1 / math.log2(3))]
