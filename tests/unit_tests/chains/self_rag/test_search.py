"""The search, on worlds whose every probability is known."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_graft.chains.self_rag.correction import RetrievalCorrection
from langchain_graft.chains.self_rag.roles import Draft, Judged, Search, Written
from langchain_graft.chains.self_rag.search import BUDGET_SPENT, SelfRagSearch
from langchain_graft.chains.self_rag.settings import SelfRagSettings
from langchain_graft.chains.self_rag.vocabulary import LABELS, REFLECTION_TOKENS

R, N, C = LABELS["retrieve"]
RELEVANT, IRRELEVANT = LABELS["relevance"]
FULLY, PARTIALLY, NOT = LABELS["support"]
U = LABELS["utility"]
GOOD = {"relevance": {RELEVANT: 1}, "support": {FULLY: 1}, "utility": {U[4]: 1}}
PLAIN = {"retrieve": {R: 1}, **GOOD}


class World:
    """Answers what a search asks, and remembers it.

    `writes(draft)` gives a text, or a `Written`; `judges(judgement)` probabilities.
    """

    def __init__(self, writes, judges=None, documents="ab"):
        self.writes = writes
        self.judges = judges or (lambda one: PLAIN[one.aspect])
        self.documents = [Document(id=name, page_content=name) for name in documents]
        self.queries, self.drafts, self.judged, self.fallback = [], [], [], []
        self.now = 0.0

    def find(self, question="q", *, correction=None, judges=frozenset(), **asked):
        asked = SelfRagSettings(**asked)
        search = SelfRagSearch(
            question, asked, correction=correction, writes_judged=judges, clock=lambda: self.now
        )
        run, answer = search.run(), None
        try:
            while True:
                answer = self.answer(run.send(answer))
        except StopIteration as ended:
            return ended.value

    def answer(self, request):
        if isinstance(request, Search):
            seen = self.fallback if request.fallback else self.queries
            seen += request.queries
            found = [Document(id="f", page_content="f")] if request.fallback else self.documents
            return [found for _ in request.queries]
        if isinstance(request[0], Draft):
            self.drafts += request
            said = [self.writes(one) for one in request]
            return [
                Written(text=s, fluency=0.5, ended=False) if isinstance(s, str) else s for s in said
            ]
        self.judged += request
        return [Judged(probabilities=self.judges(one)) for one in request]


def asked_of(world, aspect):
    return [one for one in world.judged if one.aspect == aspect]


def numbered(draft):
    """The n-th segment from a passage: `b2`."""
    return f"{draft.passage.id if draft.passage else '-'}{len(draft.before.split()) + 1}"


# Short answers


def test_a_short_answer_is_the_best_segment_of_all_passages():
    def judges(one):
        if one.aspect == "support":
            return {FULLY: 0.9, NOT: 0.1} if one.segment == "b1" else {PARTIALLY: 0.5, NOT: 0.5}
        return {RELEVANT: 0.8, IRRELEVANT: 0.2} if one.aspect == "relevance" else PLAIN[one.aspect]

    found = World(numbered, judges).find(weight_support=2.0)
    [segment] = found.best.segments
    assert segment.text == "b1"
    assert segment.score == pytest.approx(0.5 + 1.0 * 0.8 + 2.0 * 0.9 + 0.5 * 1.0)
    [level] = found.best.levels
    assert level.query == "q"
    assert [one.score for one in level.candidates] == [
        pytest.approx(0.5 + 0.8 + 2.0 * 0.25 + 0.5),
        segment.score,
    ]
    assert found.calls == 1 + 2 + 2 * 3


@pytest.mark.parametrize(
    ("probability", "threshold", "retrieves"),
    [(0.9, 0.2, True), (0.1, 0.2, False), (0.2, 0.2, False), (0.3, 0.5, False), (0.0, 0.0, False)],
)
def test_retrieval_is_decided_by_the_threshold(probability, threshold, retrieves):
    def judges(one):
        return (
            {R: probability, N: 1 - probability} if one.aspect == "retrieve" else PLAIN[one.aspect]
        )

    world = World(numbered, judges)
    found = world.find(threshold=threshold)
    assert bool(world.queries) == retrieves
    assert found.best.levels[0].probability == pytest.approx(probability)
    assert found.best.text == ("a1" if retrieves else "-1")


def test_a_critic_that_can_not_tell_has_documents_looked_for():
    world = World(numbered, lambda one: {} if one.aspect == "retrieve" else PLAIN[one.aspect])
    assert world.find().best.levels[0].probability is None
    assert world.queries == ["q"]


@pytest.mark.parametrize("mode", ["short", "long", "closed"])
@pytest.mark.parametrize("retrieval", ["always", "never", "adaptive"])
@pytest.mark.parametrize("documents", ["", "a", "abc"])
def test_every_mode_runs_with_every_way_of_retrieval(mode, retrieval, documents):
    world = World(numbered, documents=documents)
    found = world.find(mode=mode, retrieval=retrieval, depth=3)
    assert bool(found.best.segments) == bool(documents or retrieval == "never")
    assert bool(asked_of(world, "retrieve")) == (retrieval == "adaptive")
    assert bool(world.queries) == (retrieval != "never")


def test_without_a_document_nothing_is_relevant_or_supported():
    world = World(numbered)
    [segment] = world.find(retrieval="never").best.segments
    assert segment.score == pytest.approx(0.5 + 0.5 * 1.0)
    assert {one.aspect for one in world.judged} == {"utility"}


def test_a_segment_that_is_contradicted_can_be_dropped():
    def judges(one):
        if one.aspect == "support":
            return {NOT: 0.6, FULLY: 0.4} if one.segment == "a1" else {PARTIALLY: 0.4, NOT: 0.3}
        return {RELEVANT: 1} if one.aspect == "relevance" else PLAIN[one.aspect]

    assert World(numbered, judges).find().best.text == "a1"
    assert World(numbered, judges).find(drop_contradicted=True).best.text == "b1"
    world = World(numbered, lambda one: {NOT: 1} if one.aspect == "support" else PLAIN[one.aspect])
    nothing = world.find(drop_contradicted=True)
    assert not nothing.best.segments
    assert all("does not support" in one.dropped for one in nothing.best.levels[0].candidates)


def test_no_segment_is_written_from_what_is_not_relevant_enough():
    def judges(one):
        relevant = {"a": 0.3, "b": 0.7}.get(one.passage.id if one.passage else "")
        return (
            {RELEVANT: relevant, IRRELEVANT: 1 - relevant}
            if one.aspect == "relevance"
            else PLAIN[one.aspect]
        )

    world = World(numbered, judges)
    assert world.find(least_relevance=0.5).best.text == "b1"
    assert [draft.passage.id for draft in world.drafts] == ["b"]
    assert len(asked_of(world, "relevance")) == 2  # none of them twice


def test_drafts_that_say_nothing_are_no_answer():
    for text in ("", " [Relevant][1] ", "The passage does not mention it."):
        assert not World(lambda draft, text=text: text).find().best.segments


# Closed sets


def test_of_a_closed_set_that_answer_is_best_whose_segments_score_highest_together():
    texts = {"a": "True", "b": "false.", "c": "False"}

    def judges(one):
        score = {"True": 0.9, "false.": 0.5, "False": 0.6}.get(one.segment, 1)
        return {FULLY: score, NOT: 1 - score} if one.aspect == "support" else PLAIN[one.aspect]

    world = World(lambda draft: texts[draft.passage.id], judges, documents="abc")
    assert world.find(mode="short").best.text == "True"
    assert world.find(mode="closed").best.text == "False"


# Long answers


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_as_many_segments_as_asked_for(depth):
    world = World(numbered)
    found = world.find(mode="long", depth=depth, max_calls=10_000)
    assert len(found.best.segments) == depth
    assert len(found.best.levels) == depth


def test_each_segment_is_retrieved_for_with_the_question_and_the_last_one():
    world = World(numbered, documents="a")
    world.find("q?", mode="long", depth=3)
    assert world.queries == ["q?", "q? a1", "q? a2"]


def test_a_segment_may_go_on_with_the_documents_there_are():
    def judges(one):
        return {R: 0.2, C: 0.5, N: 0.3} if one.aspect == "retrieve" else PLAIN[one.aspect]

    world = World(numbered, judges, documents="a")
    found = world.find(mode="long", depth=3)
    assert world.queries == ["q"]
    assert [level.decision for level in found.best.levels] == ["retrieve", "continue", "continue"]
    assert found.best.text == "a1 a2 a3"


def test_an_answer_that_ends_is_kept_and_ends_no_other():
    """One that ends at once is the best; then one that goes on is."""

    def world_of(first, second):
        def writes(draft):
            if draft.before == "":
                return Written(
                    text=f"{draft.passage.id}1", fluency=0, ended=draft.passage.id == "a"
                )
            return Written(text=f"{draft.passage.id}2", fluency=0, ended=True)

        def judges(one):
            score = first if one.segment == "a1" else second if one.segment == "b2" else 0.5
            return {FULLY: score, NOT: 1 - score} if one.aspect == "support" else PLAIN[one.aspect]

        return World(writes, judges)

    assert world_of(0.9, 0.9).find(mode="long").best.text == "a1"
    going_on = world_of(0.6, 0.9).find(mode="long")
    assert going_on.best.text == "b1 b2"
    assert "a1" in [path.text for path in going_on.others]


def test_a_writer_with_nothing_to_add_ends_the_answer():
    def writes(draft):
        if draft.before:
            return Written(text="", ended=True) if draft.passage.id == "a" else "bad"
        return Written(text="good", fluency=1, ended=False)

    def judges(one):
        return {NOT: 1} if one.segment == "bad" and one.aspect == "support" else PLAIN[one.aspect]

    assert World(writes, judges).find(mode="long", depth=4).best.text == "good"


def test_a_segment_is_not_said_twice():
    found = World(lambda draft: "again and again", documents="a").find(mode="long", depth=5)
    assert found.best.text == "again and again"


def test_two_bad_segments_do_not_make_a_good_answer():
    """Their product would: (-0.5) * (-0.5) is more than 0.2."""

    def writes(draft):
        return Written(text=numbered(draft), fluency=0, ended=draft.passage.id == "a")

    def judges(one):
        if one.aspect == "utility":
            return {U[3]: 1} if one.segment.startswith("a") else {U[0]: 1}
        return {} if one.aspect in {"relevance", "support"} else PLAIN[one.aspect]

    found = World(writes, judges).find(mode="long", depth=2)
    assert found.best.text == "a1"
    assert found.best.score == pytest.approx(0.25)


# The optimum


def paths_of(table, depth, documents):
    """All answers of a world, with the mean of their scores."""
    for length in range(1, depth + 1):
        for choice in itertools.product(documents, repeat=length):
            texts = [f"{name}{n}" for n, name in enumerate(choice, 1)]
            ends = [table[text][1] for text in texts]
            if not any(ends[:-1]) and (ends[-1] or length == depth):
                yield " ".join(texts), sum(table[text][0] for text in texts) / length


scores = st.floats(0, 1).map(lambda one: round(one, 3))


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 3),
    st.lists(st.tuples(scores, st.booleans()), min_size=9, max_size=9),
    st.integers(1, 3),
)
def test_a_wide_search_finds_the_best_of_all_answers(depth, values, count):
    documents = "abc"[:count]
    names = [f"{name}{n}" for n in (1, 2, 3) for name in "abc"]
    table = dict(zip(names, values, strict=True))

    def writes(draft):
        text = numbered(draft)
        return Written(text=text, fluency=table[text][0], ended=table[text][1])

    world = World(writes, documents=documents)
    wide = world.find(
        mode="long", depth=depth, width=count**depth, retrieval="always", max_calls=10_000
    )
    best = max(score for _, score in paths_of(table, depth, documents))
    assert wide.best.score == pytest.approx(best + 2.5)
    enumerated = dict(paths_of(table, depth, documents))
    assert wide.best.score == pytest.approx(enumerated[wide.best.text] + 2.5)
    greedy = world.find(mode="long", depth=depth, width=1, retrieval="always", max_calls=10_000)
    assert greedy.best.score <= wide.best.score + 1e-9


# Any probabilities, any budget: it ends


numbers = st.one_of(st.sampled_from([0.0, 1.0, math.nan, math.inf, -1.0]), st.floats())
probabilities = st.dictionaries(st.sampled_from(REFLECTION_TOKENS), numbers, max_size=6)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(probabilities, min_size=1, max_size=5),
    st.lists(st.tuples(st.text(max_size=8), numbers, st.booleans()), min_size=1, max_size=4),
    st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["short", "long", "closed"]),
            "retrieval": st.sampled_from(["always", "never", "adaptive"]),
            "max_calls": st.integers(0, 60),
            "least_relevance": st.sampled_from([0.0, 0.5]),
        }
    ),
    st.integers(0, 3),
    st.booleans(),
)
def test_it_ends_within_its_budget_whatever_is_said(said, texts, asked, count, corrects):
    turns, writes = itertools.cycle(said), itertools.cycle(texts)

    def write(_):
        text, fluency, ended = next(writes)
        return Written(text=text, fluency=fluency, ended=ended)

    world = World(write, lambda _: next(turns), documents="abc"[:count])
    found = world.find(depth=4, correction=RetrievalCorrection() if corrects else None, **asked)
    assert found.calls == len(world.drafts) + len(world.judged) <= asked["max_calls"]
    assert len(found.best.segments) <= 4
    assert math.isfinite(found.best.score) or not found.best.segments
    if not asked["max_calls"]:
        assert found.notes == [BUDGET_SPENT]
        assert not found.best.levels


def test_what_is_done_without_comes_in_the_stated_order():
    told = []
    for calls in range(60, -1, -1):
        found = World(numbered).find(mode="long", depth=1, max_calls=calls)
        if (note := " ".join(found.notes)) not in told:
            told.append(note)
    assert told == [
        "",
        "utility was not judged",
        "only the first document was read",
        "no critic was asked, support was told by words",
        BUDGET_SPENT,
    ]


def test_several_beginnings_are_given_up_before_documents_are():
    world = World(numbered)
    found = world.find(mode="long", depth=2, passages=2, max_calls=9 + 7 + 1)
    assert "one beginning of the answer was carried on, not several" in found.notes
    assert found.best.levels[1].economy == found.notes[0]
    assert len(found.best.levels[1].candidates) == 2


def test_seconds_and_tokens_bound_it_too():
    def slow(draft):
        world.now += 3
        return Written(text=numbered(draft), ended=False, tokens=100)

    world = World(slow)
    found = world.find(mode="long", depth=9, max_seconds=20)
    assert BUDGET_SPENT in found.notes
    assert world.now <= 20 + 3 * 2
    world = World(slow)
    found = world.find(mode="long", depth=9, max_seconds=None, max_tokens=1000)
    assert 600 <= found.tokens <= 1000
    assert world.find(max_seconds=0).notes == [BUDGET_SPENT]


def test_support_is_told_by_words_where_no_critic_can_be_paid():
    world = World(lambda draft: "Apple was founded in 1976.", documents="")
    world.documents = [Document(id="d", page_content="Apple was founded in 1976 by Jobs.")]
    [segment] = world.find(max_calls=1).best.segments
    assert not world.judged
    assert segment.judged["support"][FULLY] == 1
    assert segment.score == pytest.approx(0.5 + 1.0)


# RetrievalCorrection


def relevance_of(**known):
    def judges(one):
        if one.aspect != "relevance":
            return PLAIN[one.aspect]
        score = known.get(one.passage.page_content, 0.0)
        return {RELEVANT: score, IRRELEVANT: 1 - score}

    return judges


@pytest.mark.parametrize(
    ("scores", "verdict", "read"),
    [
        ({"a": 0.9, "b": 0.1}, "correct", ["a"]),
        ({"a": 0.5, "b": 0.1}, "ambiguous", ["a", "f"]),
        ({"a": 0.1, "b": 0.0}, "incorrect", ["f"]),
    ],
)
def test_bad_retrieval_is_corrected(scores, verdict, read):
    fallback = object()
    world = World(numbered, relevance_of(**scores, f=0.8))
    found = world.find(correction=RetrievalCorrection(fallback=fallback))
    assert found.best.levels[0].correction == verdict
    assert [draft.passage.id for draft in world.drafts] == read
    assert bool(world.fallback) == (verdict != "correct")


def test_without_a_fallback_something_is_read_all_the_same():
    world = World(numbered, relevance_of())
    assert world.find(correction=RetrievalCorrection()).best.text == "a1"


def test_documents_are_cut_down_to_what_is_relevant():
    text = "It is about Apple. It was 1976. The weather was fine. It rained."
    judges = relevance_of(**{text: 0.9, "It is about Apple. It was 1976.": 0.8})
    world = World(lambda draft: "In 1976.", judges, documents="")
    world.documents = [Document(id="d", page_content=text)]
    found = world.find(correction=RetrievalCorrection())
    assert world.drafts[0].passage.page_content == "It is about Apple. It was 1976."
    assert found.best.segments[0].document is world.documents[0]


# What the writer judges itself


def test_what_the_writer_judged_no_critic_is_asked():
    world = World(lambda draft: Written(text=numbered(draft), fluency=0.5, judged=GOOD))
    found = world.find(judges=frozenset(GOOD))
    assert {one.aspect for one in world.judged} == {"retrieve"}
    assert found.best.score == pytest.approx(0.5 + 1 + 1 + 0.5)
    assert found.calls == 1 + 2


@pytest.mark.parametrize(
    "asked",
    [
        {"threshold": 1.5},
        {"threshold": math.nan},
        {"mode": "medium"},
        {"width": 0},
        {"depth": 1.5},
        {"max_calls": -1},
        {"max_calls": None},
        {"weight_utility": "much"},
        {"unknown": 1},
        7,
    ],
    ids=str,
)
def test_settings_that_can_not_be_used_are_value_errors(asked):
    with pytest.raises(ValueError, match=r"must"):
        SelfRagSettings().changed(asked)
