"""A conversation: the question is rewritten so that it can be understood alone."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate

from langchain_graft.chains import create_conversational_rag_chain
from langchain_graft.chains.inputs import conversation_text
from langchain_graft.testing import ScriptedChatModel

HISTORY = [HumanMessage("Who founded Apple?"), AIMessage("Steve Jobs. [1]")]
FOLLOWING = {"input": "And when?", "chat_history": HISTORY}


async def test_the_rewritten_question_is_searched_answered_and_shown(retriever, run):
    model = ScriptedChatModel(script=["When was Apple founded?", "In April 1976. [1]"])
    output = await run(create_conversational_rag_chain(model, retriever), FOLLOWING)
    assert output["input"] == "And when?"
    assert output["question"] == "When was Apple founded?"
    assert output["chat_history"] == HISTORY
    assert output["answer"] == "In April 1976. [1]"
    assert retriever.queries == ["When was Apple founded?"]
    condensing, answering = (messages[-1].text for messages in model.asked)
    assert "User: Who founded Apple?\nAssistant: Steve Jobs. [1]" in condensing
    assert "Last question: And when?" in condensing
    assert "Question: When was Apple founded?" in answering


class BoundedModel(ScriptedChatModel):
    """Notes how long each reply may be."""

    bounds: list[int | None] = []  # noqa: RUF012 (pydantic copies it)

    def _stream(self, *args, max_tokens=None, **kwargs):
        self.bounds.append(max_tokens)
        return super()._stream(*args, **kwargs)


def test_the_rewritten_question_is_bounded_and_the_answer_is_as_the_model_is_set(retriever):
    model = BoundedModel(script=["When was Apple founded?", "In 1976."])
    create_conversational_rag_chain(model, retriever).invoke(FOLLOWING)
    assert model.bounds == [256, None]


async def test_without_a_history_the_model_is_asked_once(retriever, run):
    model = ScriptedChatModel(script=["Jobs. [1]"])
    output = await run(create_conversational_rag_chain(model, retriever), "Who founded Apple?")
    assert output["question"] == "Who founded Apple?"
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ('"When was Apple founded?"\n', "When was Apple founded?"),
        ("  When was\nApple founded? ", "When was Apple founded?"),
        ("", "And when?"),
        ("\n ", "And when?"),
        ('""', "And when?"),
    ],
)
def test_a_rewriting_is_brought_into_one_line_and_an_empty_one_is_not_used(
    retriever, said, question
):
    model = ScriptedChatModel(script=[said, "In 1976."])
    output = create_conversational_rag_chain(model, retriever).invoke(FOLLOWING)
    assert output["question"] == question
    assert retriever.queries == [question]


def test_the_refusal_is_in_the_language_of_the_rewritten_question(retriever):
    retriever.documents = []
    model = ScriptedChatModel(script=["苹果公司是什么时候成立的？"])
    history = [("human", "谁创办了苹果公司？"), ("ai", "乔布斯。")]
    output = create_conversational_rag_chain(model, retriever).invoke(
        {"input": "1976?", "chat_history": history}
    )
    assert output["answer"] == "文档中没有找到答案。"


def test_a_condense_prompt_of_ones_own_is_checked_and_used(retriever):
    with pytest.raises(ValueError, match="it lacks 'conversation'"):
        create_conversational_rag_chain(
            ScriptedChatModel(),
            retriever,
            condense_prompt=ChatPromptTemplate.from_template("{input}"),
        )
    prompt = ChatPromptTemplate.from_template("{conversation} >> {input}")
    model = ScriptedChatModel(script=["When was it?", "1976."])
    create_conversational_rag_chain(model, retriever, condense_prompt=prompt).invoke(FOLLOWING)
    assert model.asked[0][0].text.endswith("Steve Jobs. [1] >> And when?")


def test_a_conversation_is_its_last_turns_long_ones_shortened():
    turns = [("human" if n % 2 == 0 else "ai", f"turn {n}") for n in range(16)]
    lines = conversation_text([*turns, ("human", "x" * 5_000)]).splitlines()
    assert lines[0] == "Assistant: turn 5"
    assert len(lines) == 12
    assert len(lines[-1]) < 1_010
