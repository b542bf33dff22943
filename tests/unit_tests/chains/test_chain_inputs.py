"""What a chain is given: questions, settings of a call, retrievers of any make."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from langchain_graft.chains import create_conversational_rag_chain, create_rag_chain
from langchain_graft.testing import ScriptedChatModel

QUESTION = "Who founded Apple?"


def ids(output):
    return {document.id for document in output["context"]}


def call(**settings):
    return {"configurable": settings}


@pytest.mark.parametrize("question", ["", "   ", "\n\t", {"input": " "}], ids=repr)
async def test_an_empty_question_is_a_value_error(create_chain, retriever, run, question):
    with pytest.raises(ValueError, match="The question is empty"):
        await run(create_chain(ScriptedChatModel(), retriever), question)


@pytest.mark.parametrize("given", [None, 7, ["Who?"], {}, {"question": "Who?"}, {"input": None}])
def test_what_is_no_question_is_a_type_error_that_says_what_is_taken(
    create_chain, retriever, given
):
    with pytest.raises(TypeError, match=r"takes a question or \{'input': question\}"):
        create_chain(ScriptedChatModel(), retriever).invoke(given)


@pytest.mark.parametrize("history", ["hello", {"human": "Hi"}, 7])
def test_a_history_that_is_no_list_is_a_type_error(create_chain, retriever, history):
    with pytest.raises(TypeError, match="chat_history has to be a list of messages"):
        create_chain(ScriptedChatModel(), retriever).invoke(
            {"input": QUESTION, "chat_history": history}
        )


def test_a_long_question_is_answered(create_chain, index):
    question = ("Who founded Apple? " + "苹果 and more [1] <|x|> " * 500)[:10_000]
    output = create_chain(ScriptedChatModel(script=["Jobs. [1]"]), index.as_retriever()).invoke(
        question
    )
    assert output["answer"] == "Jobs. [1]"
    assert output["input"] == question


def test_a_question_of_100_000_characters_is_refused_with_what_to_do(create_chain, retriever):
    with pytest.raises(ValueError, match=r"100000 characters, at most 10000 .* into a document"):
        create_chain(ScriptedChatModel(), retriever).invoke("苹" * 100_000)


def test_what_was_given_beside_the_question_passes_through(create_chain, retriever):
    given = {"input": QUESTION, "user": "ada"}
    output = create_chain(ScriptedChatModel(script=["Jobs."]), retriever).invoke(given)
    assert output["user"] == "ada"


def test_the_output_of_one_run_can_be_given_to_the_next(create_chain, retriever, documents):
    chain = create_chain(ScriptedChatModel(script=["Jobs. [1]", "666.66 dollars. [2]"]), retriever)
    first = chain.invoke(QUESTION)
    second = chain.invoke({**first, "input": "What did it cost?"})
    assert second["answer"] == "666.66 dollars. [2]"
    assert second["context"] == documents
    assert [citation["marker"] for citation in second["citations"]] == [2]
    assert retriever.queries == [QUESTION, "What did it cost?"]


def test_nothing_that_was_given_is_changed(create_chain, retriever, documents):
    given = {"input": QUESTION, "chat_history": [("human", "Hi"), ("ai", "Hello")], "tags": ["x"]}
    before = copy.deepcopy((given, documents))
    model = ScriptedChatModel(script=["Who founded Apple?", "Jobs [1]."])
    chain = create_chain(model, retriever, context_tokens=30)
    chain.invoke(given)
    assert (given, documents) == before


async def test_k_and_filter_of_a_call_reach_our_retriever(create_chain, index, run):
    chain = create_chain(ScriptedChatModel(script=["Jobs."] * 3), index.as_retriever(k=3))
    assert ids(await run(chain, "Apple")) == {"founders", "price", "zh"}
    assert len(ids(await run(chain, "Apple", call(k=1)))) == 1
    assert ids(await run(chain, "Apple", call(filter={"lang": "zh"}))) == {"zh"}


async def test_k_and_filter_of_a_call_hold_for_any_retriever(create_chain, retriever, run):
    chain = create_chain(ScriptedChatModel(script=["Jobs."] * 3), retriever)
    assert ids(await run(chain, "Apple", call(k=2))) == {"founders", "price"}
    assert ids(await run(chain, "Apple", call(filter={"lang": "zh"}))) == {"zh"}
    assert ids(await run(chain, "Apple", call(k=1, filter={"tenant": "b"}))) == {"price"}


async def test_the_call_of_a_batch_has_its_own_settings(create_chain, retriever):
    chain = create_chain(ScriptedChatModel(script=["Jobs."] * 4), retriever)
    configs = [call(k=1), call(k=2)]
    assert [len(ids(o)) for o in chain.batch(["Apple"] * 2, configs)] == [1, 2]
    assert [len(ids(o)) for o in await chain.abatch(["Apple"] * 2, configs)] == [1, 2]


@pytest.mark.parametrize(
    "asked", [{"tenant": "b"}, {"$or": [{"tenant": "a"}, {"tenant": "b"}]}, {}, None], ids=str
)
async def test_a_call_can_not_widen_the_border_of_a_tenant(create_chain, index, run, asked):
    retriever = index.as_retriever(k=3, filter={"tenant": "a"})
    chain = create_chain(ScriptedChatModel(script=["Jobs."]), retriever)
    assert "price" not in ids(await run(chain, "Apple dollars", call(filter=asked)))


@pytest.mark.parametrize("k", [0, -1])
@pytest.mark.parametrize("ours", [True, False], ids=["our retriever", "another one"])
def test_a_k_below_1_is_a_value_error(create_chain, index, retriever, k, ours):
    chain = create_chain(ScriptedChatModel(), index.as_retriever() if ours else retriever)
    with pytest.raises(ValueError, match="k must be a whole number, 1 or more"):
        chain.invoke(QUESTION, call(k=k))


def test_a_filter_of_another_dialect_is_a_value_error(create_chain, retriever):
    with pytest.raises(ValueError, match=r"Unknown operator '\$like'"):
        create_chain(ScriptedChatModel(), retriever).invoke(
            QUESTION, call(filter={"lang": {"$like": "z"}})
        )


def test_any_runnable_from_a_question_to_documents_is_a_retriever(create_chain, documents):
    chain = create_chain(ScriptedChatModel(script=["Jobs."]), RunnableLambda(lambda _: documents))
    assert ids(chain.invoke(QUESTION, call(filter={"lang": "en"}))) == {"founders", "price"}


def test_a_prompt_of_ones_own_is_used(create_chain, retriever):
    model = ScriptedChatModel(script=["Jobs."])
    prompt = ChatPromptTemplate.from_template("Be brief.\n{sources}\n{input}\n{refusal}")
    create_chain(model, retriever, prompt=prompt, context_tokens=30).invoke(QUESTION)
    assert model.asked[0][0].text == (
        "Be brief.\n[1] Apple was founded by Steve Jobs and Steve Wozniak in April 1976.\n"
        f"{QUESTION}\nThe documents do not contain the answer."
    )


@pytest.mark.parametrize("template", ["{input}", "{sources}", "{question} {context}"])
def test_a_prompt_without_its_variables_is_refused_at_construction(
    create_chain, retriever, template
):
    prompt = ChatPromptTemplate.from_template(template)
    with pytest.raises(ValueError, match="The prompt needs the variables 'sources', 'input'"):
        create_chain(ScriptedChatModel(), retriever, prompt=prompt)


def test_eight_threads_on_one_chain_get_their_own_answers(create_chain, retriever):
    class Echo(ScriptedChatModel):
        def _stream(self, messages, *args, **kwargs):
            for _ in range(3):
                yield ChatGenerationChunk(message=AIMessageChunk(f" {messages[0].text[:8]}"))

    prompt = ChatPromptTemplate.from_template("{input} {sources}")
    chain = create_chain(Echo(), retriever, prompt=prompt)
    questions = [f"number{n:02}" for n in range(64)]
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(chain.invoke, questions))
    assert [output["input"] for output in outputs] == questions
    assert [output["answer"] for output in outputs] == [f"{q} {q} {q}" for q in questions]


def test_the_steps_have_names_in_a_trace(retriever):
    class Names(BaseCallbackHandler):
        def __init__(self):
            self.names = []

        def on_chain_start(self, serialized, inputs, *, name=None, **kwargs):
            self.names.append(name)

    names = Names()
    history = [("human", "Hi"), ("ai", "Hello")]
    model = ScriptedChatModel(script=["Who founded Apple?", "Jobs.", "Jobs."])
    chain = create_conversational_rag_chain(model, retriever)
    chain.invoke({"input": QUESTION, "chat_history": history}, {"callbacks": [names]})
    assert names.names[0] == "conversational_rag_chain"
    steps = [
        "read_input",
        "condense_question",
        "rag_chain",
        "read_input",
        "retrieve_documents",
        "answer_with_citations",
        "generate",
    ]
    assert [name for name in names.names if name in steps] == steps

    names.names.clear()
    create_rag_chain(model, retriever).invoke(QUESTION, {"callbacks": [names]})
    assert names.names[0] == "rag_chain"


def test_a_chain_tells_its_input_and_output(create_chain, retriever):
    chain = create_chain(ScriptedChatModel(), retriever)
    asked, given = chain.get_input_jsonschema(), chain.get_output_jsonschema()
    assert [kind.get("type", kind.get("$ref")) for kind in asked["anyOf"]] == [
        "string",
        "#/$defs/RagInput",
    ]
    assert set(given["$defs"]["RagOutput"]["required"]) >= {"context", "answer", "citations"}
