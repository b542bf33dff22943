"""Chains that ask more than the question: RAG-Fusion, step-back, several steps."""

import pytest
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda

from langchain_graft.chains import (
    create_multi_step_chain,
    create_rag_fusion_chain,
    create_refusing_chain,
    create_step_back_chain,
)
from langchain_graft.chains.multi_step import NO_PLAN, NOTHING_FOUND
from langchain_graft.chains.planning import Plan, filled, read_plan, step_of
from langchain_graft.chains.step_back import NO_STEP_BACK
from langchain_graft.retrievers import FusionRetriever
from langchain_graft.retrievers.query import Query
from langchain_graft.retrievers.weakness import Weakness
from langchain_graft.testing import ScriptedChatModel

SOLARIS = Document(id="film", page_content="Solaris was directed by Andrei Tarkovsky.")
BORN = Document(id="born", page_content="Andrei Tarkovsky was born in Zavrazhye in Russia.")
OTHER = Document(id="other", page_content="Vasa sank in 1628.")


class WordRetriever(BaseRetriever):
    """Gives the documents that share a long word with the question."""

    documents: list[Document] = [SOLARIS, BORN, OTHER]  # noqa: RUF012 (pydantic copies it)
    queries: list[str] = []  # noqa: RUF012
    k: int = 2

    def _get_relevant_documents(self, query, *, run_manager):
        self.queries.append(query)
        words = {word for word in query.strip("?").split() if len(word) > 5}
        return [one for one in self.documents if words & set(one.page_content.rstrip(".").split())]


def rewriter(*queries):
    return RunnableLambda(lambda question: [Query(query) for query in queries])


async def test_fusion_tells_the_queries_that_found_something(run):
    retriever = WordRetriever()
    model = ScriptedChatModel(script=["Tarkovsky. [1]"])
    chain = create_rag_fusion_chain(
        model, retriever, rewriter=rewriter("Tarkovsky films", "Nothing at all")
    )
    output = await run(chain, "Who made Solaris?")
    assert sorted(retriever.queries) == ["Nothing at all", "Tarkovsky films", "Who made Solaris?"]
    assert output["queries"] == ["Who made Solaris?", "Tarkovsky films"]
    assert {one.id for one in output["context"]} == {"film", "born"}


async def test_a_retriever_or_a_rewriter_that_fails_is_told_in_the_warnings(run):
    def broken(question):
        raise OSError

    model = ScriptedChatModel(script=["Tarkovsky. [1]"])
    both = [WordRetriever(), RunnableLambda(broken, name="words")]
    output = await run(
        create_rag_fusion_chain(model, both, rewriter=rewriter()), "Who made Solaris?"
    )
    assert output["answer"] == "Tarkovsky. [1]"
    assert [warning.split()[0] for warning in output["warnings"]] == ["the", "words"]


def test_a_fusion_retriever_keeps_its_own_settings():
    own = FusionRetriever(retrievers=[WordRetriever()], k=1, weights=[2.0])
    model = ScriptedChatModel(script=["Tarkovsky."])
    chain = create_rag_fusion_chain(model, own, rewriter=rewriter("Tarkovsky films"))
    assert len(chain.invoke("Who made Solaris?")["context"]) == 1
    assert own.rewriter is None


def test_a_fusion_retriever_keeps_its_own_weight_and_its_own_weakness():
    easy = Weakness(top_score=None, margin=None, overlap=None)
    own = FusionRetriever(retrievers=[WordRetriever()], original_weight=7.0, weakness=easy)
    model = ScriptedChatModel(script=["Tarkovsky."] * 2)
    output = create_rag_fusion_chain(model, own, rewriter=rewriter("Tarkovsky films")).invoke(
        "Who made Solaris?"
    )
    [share] = output["context"][0].metadata["contributions"]
    assert share["score"] == pytest.approx(7 / 61)
    chain = create_rag_fusion_chain(
        model,
        own,
        rewriter=rewriter("Tarkovsky films"),
        weakness=Weakness(top_score=0.5),
        original_weight=3.0,
    )
    share = chain.invoke("Who made Solaris?")["context"][0].metadata["contributions"][0]
    assert share["score"] == pytest.approx(3 / 61)
    with pytest.raises(ValueError, match="original_weight"):
        create_rag_fusion_chain(model, own, original_weight=-1.0)


def test_a_fusion_retriever_that_rewrites_is_not_given_a_second_rewriter():
    asked = []
    rewriting = RunnableLambda(lambda question: asked.append(question) or [Query("Tarkovsky")])
    own = FusionRetriever(retrievers=[WordRetriever()], rewriter=rewriting)
    output = create_rag_fusion_chain(ScriptedChatModel(script=["A."]), own).invoke("Solaris?")
    assert asked == ["Solaris?"]
    assert output["queries"] == ["Solaris?", "Tarkovsky"]


def test_step_back_over_one_that_rewrites_has_both_questions_rewritten():
    asked = []
    rewriting = RunnableLambda(lambda question: asked.append(question) or [])
    own = FusionRetriever(retrievers=[WordRetriever()], rewriter=rewriting)
    chain = create_step_back_chain(
        ScriptedChatModel(script=["A."]), own, rewriter=rewriter("Tarkovsky in general?")
    )
    assert chain.invoke("Vasa?")["step_back_question"]
    assert asked == ["Vasa?", "Tarkovsky in general?"]


def test_a_search_that_looks_good_costs_no_rewriting(index):
    model = ScriptedChatModel(script=["Jobs. [1]"])
    chain = create_rag_fusion_chain(model, index.as_retriever(), weakness=Weakness(top_score=0.0))
    assert chain.invoke("Who founded Apple?")["queries"] == ["Who founded Apple?"]
    assert len(model.asked) == 1


def test_no_retriever_is_a_value_error():
    with pytest.raises(ValueError, match="No retriever was given"):
        create_rag_fusion_chain(ScriptedChatModel(), [])


async def test_step_back_looks_up_both_questions_in_turns(run):
    first, second = ([Document(id=f"{s}{n}", page_content=f"{s}{n}") for n in "123"] for s in "ab")
    retriever = RunnableLambda(lambda question: second if "general" in question else first)
    model = ScriptedChatModel(script=["A. [1]"])
    chain = create_step_back_chain(model, retriever, rewriter=rewriter("In general?"))
    output = await run(chain, "Who?")
    assert output["step_back_question"] == "In general?"
    assert [document.id for document in output["context"]] == ["a1", "b1", "a2", "b2"]
    assert "principle" not in output


async def test_without_a_step_back_question_the_question_is_looked_up_alone(run):
    retriever = WordRetriever()
    model = ScriptedChatModel(script=["A. [1]"])
    output = await run(
        create_step_back_chain(model, retriever, rewriter=rewriter()), "Who made Solaris?"
    )
    assert output["step_back_question"] == ""
    assert retriever.queries == ["Who made Solaris?"]
    assert len(output["warnings"]) == 1


async def test_abstraction_only_puts_the_principle_before_the_question(run):
    model = ScriptedChatModel(script=["He directed films. [1]", "Andrei Tarkovsky [3]."])
    chain = create_step_back_chain(model, rewriter=rewriter("What did he do?"))
    output = await run(chain, "Who made Solaris?")
    assert output["principle"] == "He directed films. [1]"
    assert output["answer"] == "Andrei Tarkovsky."
    recalled, answered = (messages[-1].text for messages in model.asked)
    assert recalled.startswith("What did he do?\n")
    assert "What did he do?\nHe directed films. [1]\n\nQuestion: Who made Solaris?" in answered


async def test_abstraction_only_without_a_step_back_question_asks_the_model_alone(run):
    model = ScriptedChatModel(script=["Tarkovsky."])
    output = await run(create_step_back_chain(model, rewriter=rewriter()), "Who made Solaris?")
    assert output["step_back_question"] == output["principle"] == ""
    assert output["warnings"] == [NO_STEP_BACK]
    assert model.asked[0][-1].text.startswith("Who made Solaris?")


QUESTION = "Where was the director of the film Solaris born?"


def talk(plan, *, answer="In Zavrazhye. [2]"):
    def reply(prompt):
        if "You plan how" in prompt:
            return plan
        if "Answer with a name" in prompt and "Who directed" in prompt:
            return "Andrei Tarkovsky [1]."
        if "Answer with a name" in prompt:
            return "Zavrazhye." if "Zavrazhye" in prompt else "The documents do not say."
        return answer

    return ScriptedChatModel(reply=reply)


async def test_steps_are_answered_in_order_with_what_was_found(run):
    retriever = WordRetriever()
    model = talk("1. Who directed Solaris?\n2. Where was #1 born?")
    output = await run(create_multi_step_chain(model, retriever), QUESTION)
    assert retriever.queries == ["Who directed Solaris?", "Where was Andrei Tarkovsky born?"]
    assert [(step["question"], step["answer"]) for step in output["steps"]] == [
        ("Who directed Solaris?", "Andrei Tarkovsky."),
        ("Where was Andrei Tarkovsky born?", "Zavrazhye."),
    ]
    assert [one.id for step in output["steps"] for one in step["documents"]] == ["film", "born"]
    assert [one.id for one in output["context"]] == ["film", "born"]
    assert output["answer"] == "In Zavrazhye. [2]"
    assert output["warnings"] == []
    last = model.asked[-1][-1].text
    assert "- Who directed Solaris? Andrei Tarkovsky.\n" in last
    assert f"Question: {QUESTION}" in last


@pytest.mark.parametrize("plan", ["NONE", "None.", QUESTION, "Who directed Solaris?"])
async def test_a_simple_question_costs_the_plan_alone(plan, run):
    retriever = WordRetriever()
    model = talk(plan, answer="Tarkovsky.")
    output = await run(create_multi_step_chain(model, retriever), QUESTION)
    assert output["steps"] == output["warnings"] == []
    assert retriever.queries == [QUESTION]
    assert len(model.asked) == 2


@pytest.mark.parametrize("plan", ["", "I am sorry, I can not.", "Who is #1?\nWhere is #2?", "!!!"])
async def test_a_plan_that_can_not_be_used_gives_way_to_the_question_and_says_so(plan, run):
    output = await run(create_multi_step_chain(talk(plan), WordRetriever()), QUESTION)
    assert output["steps"] == []
    assert output["warnings"] == [NO_PLAN]
    assert output["answer"]


async def test_a_step_that_needs_what_was_not_found_is_not_asked(run):
    retriever = WordRetriever()
    plan = "Who sank the Vasa?\nWhere was #1 born?\nWho directed Solaris?"
    output = await run(create_multi_step_chain(talk(plan), retriever), QUESTION)
    found = [(step["question"], bool(step["documents"])) for step in output["steps"]]
    assert found == [
        ("Who sank the Vasa?", False),
        ("Where was #1 born?", False),
        ("Who directed Solaris?", True),
    ]
    assert retriever.queries == ["Who sank the Vasa?", "Who directed Solaris?"]
    assert [one.id for one in output["context"]] == ["film"]


async def test_when_no_step_finds_anything_the_question_is_looked_up_as_it_is(run):
    retriever = WordRetriever()
    model = talk("Who is the first?\nWho is the second?", answer="Tarkovsky. [1]")
    output = await run(create_multi_step_chain(model, retriever), QUESTION)
    assert output["warnings"] == [NOTHING_FOUND]
    assert [one.id for one in output["context"]] == ["film"]


def test_a_document_that_steps_had_to_cut_is_told_to_be_cut():
    long = Document(id="film", page_content="Solaris was directed by Andrei Tarkovsky. " * 20)
    model = talk("Who directed Solaris?\nWhere was #1 born?")
    retriever = WordRetriever(documents=[long, BORN])
    output = create_multi_step_chain(model, retriever, context_tokens=60).invoke(QUESTION)
    shown = output["context"][0]
    assert shown.id == "film"
    assert len(shown.page_content) < len(long.page_content)
    assert ("film", "cut") in [(o["document_id"], o["reason"]) for o in output["left_out"]]


def test_steps_are_bounded():
    retriever = WordRetriever()
    model = talk("\n".join(f"Who is number {n}?" for n in range(50)))
    output = create_multi_step_chain(model, retriever, max_steps=3).invoke(QUESTION)
    assert len(output["steps"]) == 3
    with pytest.raises(ValueError, match="max_steps must lie between 2 and"):
        create_multi_step_chain(model, retriever, max_steps=1)


@pytest.mark.parametrize(
    ("reply", "plan"),
    [
        ("Who is A?\nWhere is #1?", Plan(["Who is A?", "Where is #1?"])),
        ('["Who is A?", "Where is #1?"]', Plan(["Who is A?", "Where is #1?"])),
        ("谁写了红楼梦？\n请问#1的祖父是谁？", Plan(["谁写了红楼梦？", "请问#1的祖父是谁？"])),
        ("NONE", Plan([])),
        ("Where is #1?", Plan([], is_garbage=True)),
        ("Who is A?\nWhere is #2?", Plan([], is_garbage=True)),
        ("Who is A?\nWhere is #0?", Plan([], is_garbage=True)),
    ],
)
def test_a_plan_is_read_from_what_a_model_says(reply, plan):
    assert read_plan(reply, most=4, question="Q?") == plan


def test_an_answer_is_filled_in_short_and_without_marks():
    output = {
        "context": [SOLARIS],
        "answer": "Andrei Tarkovsky [1]. He was a director. [1]",
        "citations": [],
    }
    step = step_of("Who?", output)
    assert step["documents"] == [SOLARIS]
    assert filled("Where was #1 born?", [step]) == "Where was Andrei Tarkovsky born?"
    assert filled("Where?", []) == "Where?"
    long = {**step, "answer": "word " * 500}
    assert len(filled("Where was #1 born?", [long])) < 230


@pytest.mark.parametrize(
    ("create", "name"),
    [
        (lambda prompt: create_multi_step_chain(*WORLD, plan_prompt=prompt), "input"),
        (lambda prompt: create_multi_step_chain(*WORLD, steps_prompt=prompt), "steps_told"),
        (lambda prompt: create_multi_step_chain(*WORLD, step_prompt=prompt), "sources"),
        (lambda prompt: create_step_back_chain(*WORLD, principle_prompt=prompt), "step_back"),
        (lambda prompt: create_step_back_chain(WORLD[0], prompt=prompt), "principle"),
    ],
)
def test_a_prompt_without_its_variables_is_refused_at_construction(create, name):
    with pytest.raises(ValueError, match=f"needs the variables .*{name}"):
        create(ChatPromptTemplate.from_template("{other}"))


WORLD = (ScriptedChatModel(), WordRetriever())


@pytest.mark.parametrize("reason", ["", {"en": "No."}, {"en": "No.", "zh": ""}])
def test_a_refusal_needs_a_reason_in_both_languages(reason):
    with pytest.raises(ValueError, match="reason must be a text"):
        create_refusing_chain(reason)


def test_a_refusal_is_in_the_language_of_the_question():
    chain = create_refusing_chain({"en": "No.", "zh": "不行。"})
    assert [chain.invoke(asked)["answer"] for asked in ("Who?", "谁？")] == ["No.", "不行。"]
