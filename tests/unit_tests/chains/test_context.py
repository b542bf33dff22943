"""Documents on their way into a prompt: packed to a budget, stripped of control words."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_graft.chains import create_rag_chain
from langchain_graft.chains.context import numbered_sources
from langchain_graft.chains.packing import pack_documents, token_counter_of
from langchain_graft.models.tokens import estimate_tokens
from langchain_graft.source_text import source_text, without_control_words
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

CONTROL_WORDS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|IM_START|>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<</SYS>>",
    "<paragraph>",
    "</paragraph>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<think>",
    "</think>",
    "TERMINATE",
    "UPDATE CONTEXT",
    "[Relevant]",
    "[Irrelevant]",
    "[Retrieval]",
    "[No Retrieval]",
    "[Continue to Use Evidence]",
    "[Fully supported]",
    "[Partially supported]",
    "[No support / Contradictory]",
    "[Utility:5]",
]


def words(text):
    return len(text.split())


@pytest.mark.parametrize("control", CONTROL_WORDS)
def test_control_words_of_documents_do_not_reach_the_model(create_chain, retriever, control):
    retriever.documents = [
        Document(
            page_content=f"Jobs {control} founded Apple. 他{control}说",
            metadata={"title": f"On {control}", "heading": control, "question": f"Who? {control}"},
        )
    ]
    model = ScriptedChatModel(script=["Jobs."])
    output = create_chain(model, retriever).invoke("Who founded it?")
    sent = "\n".join(message.text for message in model.asked[0])
    assert control not in sent
    assert "founded Apple." in sent
    assert output["context"] == retriever.documents  # what is shown and cited stays as it is


PARTS = [*CONTROL_WORDS, " ", "x", "<|", "|>", "<", ">", "[", "]", "UPDATE", "CONTEXT", "[No"]


@given(st.lists(st.sampled_from(PARTS), max_size=12))
def test_what_is_left_of_control_words_makes_none(parts):
    left = without_control_words("".join(parts))
    assert without_control_words(left) == left
    bracketed = [control for control in CONTROL_WORDS if not control[0].isalpha()]
    assert not [control for control in bracketed if control in left]


@pytest.mark.parametrize(
    "text",
    [
        "The contract will terminate in 1997. An update of the context follows. TERMINATED",
        "if a < b | c > d: <b>bold</b>",
        "She said [relevant parts are missing].",
    ],
)
def test_plain_words_stay(text):
    assert without_control_words(text) == text


@pytest.mark.parametrize(
    ("text", "shown"), [("a [3] b", "a (3) b"), ("a【12】", "a(12)"), ("a [1, 2]", "a (1, 2)")]
)
def test_marks_of_a_document_are_not_taken_for_ours(text, shown):
    assert without_control_words(text) == shown


def test_a_document_is_shown_under_its_title_heading_and_question():
    metadata = {"title": "Apple", "heading": "Founders", "question": "Who?"}
    document = Document(page_content="Steve Jobs.", metadata=metadata)
    assert source_text(document) == "(Apple - Founders)\nWho?\nSteve Jobs."
    same = Document(page_content="Text.", metadata={"title": "Apple", "heading": "Apple"})
    assert numbered_sources([same, Document(page_content="B")]) == "[1] (Apple)\nText.\n\n[2] B"


def pack(*texts, budget):
    documents = [Document(id=str(n), page_content=text) for n, text in enumerate(texts)]
    packed = pack_documents(documents, budget=budget, count_tokens=words).documents
    return [document.page_content for document in packed]


def test_what_fits_is_packed_in_order():
    assert pack("a b", "c d", budget=None) == ["a b", "c d"]
    assert pack("a b", "c d", budget=20) == ["a b", "c d"]  # each costs 8 more, for what is around
    assert pack("a b", "c d", budget=19) == ["a b"]


def test_a_document_that_does_not_fit_gives_its_first_sentences():
    long = "One two three four five. Six seven eight nine ten. Eleven twelve thirteen."
    assert pack(long, budget=18) == ["One two three four five. Six seven eight nine ten."]
    assert pack("a", "b " * 400, "c", budget=20) == ["a", "c"]


@pytest.mark.parametrize(
    "text",
    ["name: value; " * 2_000, "word " * 5_000, "苹果，公司，" * 3_000, "x" * 30_000],
    ids=["table", "words", "Chinese", "one word"],
)
def test_the_first_document_gives_what_fits_even_without_sentences(text):
    [packed], _ = pack_documents(
        [Document(page_content=text)], budget=800, count_tokens=estimate_tokens
    )
    assert text.startswith(packed.page_content)
    assert 700 < estimate_tokens(packed.page_content) <= 800


def test_the_budget_holds_though_tokens_are_dense_at_the_beginning():
    text = "苹果公司发布了一台电脑。" * 80 + "An English sentence with many letters. " * 80
    [packed], _ = pack_documents(
        [Document(page_content=text)], budget=800, count_tokens=estimate_tokens
    )
    assert 700 < estimate_tokens(packed.page_content) <= 800


async def test_counting_tokens_does_not_hold_up_the_event_loop(retriever):
    def slowly(text):
        time.sleep(0.1)
        return estimate_tokens(text)

    chain = create_rag_chain(ScriptedChatModel(script=["Jobs."]), retriever, count_tokens=slowly)
    asking = asyncio.ensure_future(chain.ainvoke("Who founded Apple?"))
    longest = 0.0
    while not asking.done():
        started = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - started)
    assert (await asking)["answer"]
    assert longest < 0.09


def test_a_filter_of_ours_is_not_told_to_a_foreign_retriever_but_holds():
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents(
        [
            Document(id=lang, page_content="Jobs founded Apple.", metadata={"lang": lang})
            for lang in ("en", "zh")
        ]
    )
    chain = create_rag_chain(ScriptedChatModel(script=["Jobs."] * 2), store.as_retriever())
    asked = {"configurable": {"filter": {"lang": "zh"}}}
    assert [d.id for d in chain.invoke("Who founded Apple?", asked)["context"]] == ["zh"]
    assert len(chain.invoke("Who founded Apple?", {"configurable": {"k": 1}})["context"]) == 1


def test_what_was_left_out_is_told_with_its_tokens():
    texts = ["One two three four five. Six seven eight nine ten. Eleven.", "b " * 400, "c"]
    documents = [
        Document(id=str(n), page_content=text, metadata={"source_id": f"{n}.md"} if n else {})
        for n, text in enumerate(texts)
    ]
    packed, left_out = pack_documents(documents, budget=28, count_tokens=words)
    assert [document.id for document in packed] == ["0", "2"]
    assert left_out == [
        {"document_id": "1", "source_id": "1.md", "reason": "budget", "tokens": 408}
    ]
    _, left_out = pack_documents(documents[:1], budget=18, count_tokens=words)
    assert left_out == [{"document_id": "0", "source_id": None, "reason": "cut", "tokens": 1}]
    assert pack_documents(documents, budget=None, count_tokens=words).left_out == []


def test_packing_changes_no_document_that_it_was_given():
    document = Document(id="1", page_content="One two three. Four five six.", metadata={"n": 1})
    before = document.model_copy(deep=True)
    short, _ = pack_documents([document], budget=12, count_tokens=words)
    assert document == before
    assert short[0].id == "1"
    assert short[0].metadata == {"n": 1}


@given(st.lists(st.text("ab .。\n", max_size=80), max_size=6), st.integers(0, 80))
def test_packed_documents_are_within_the_budget(texts, budget):
    documents = [Document(page_content=text) for text in texts]
    packed, left_out = pack_documents(documents, budget=budget, count_tokens=estimate_tokens)
    assert sum(estimate_tokens(source_text(document)) for document in packed) <= budget
    begins = iter(texts)
    assert all(any(text.startswith(d.page_content) for text in begins) for d in packed)
    whole = len(packed) - sum(one["reason"] == "cut" for one in left_out)
    assert whole + len(left_out) == len(documents)
    assert all(one["tokens"] > 0 for one in left_out)


def test_the_budget_of_a_chain_bounds_its_prompt(create_chain, retriever):
    retriever.documents = [
        Document(id=str(n), page_content=f"Sentence {n} has five words. " * 20) for n in range(9)
    ]
    model = ScriptedChatModel(script=["Ok.", "Ok."])
    output = create_chain(model, retriever, context_tokens=100, count_tokens=words).invoke("Who?")
    sources = model.asked[0][-1].text
    assert 50 <= words(sources) <= 110
    assert [document.id for document in output["context"]] == ["0"]
    assert create_rag_chain(model, retriever, context_tokens=None).invoke("Who?")["context"] == (
        retriever.documents
    )


def test_tokens_are_counted_by_the_model_where_it_can_and_by_estimate_otherwise():
    own = FakeListChatModel(responses=["a"], custom_get_token_ids=lambda text: list(range(7)))
    assert token_counter_of(own)("any text") == 7
    assert token_counter_of(ScriptedChatModel())("any text") == estimate_tokens("any text")


class OwnAsync(BaseRetriever):
    """Somebody else's retriever whose async method knows no `k`."""

    documents: list[Document]

    def _get_relevant_documents(self, query, *, run_manager, k=4):
        return self.documents[:k]

    async def _aget_relevant_documents(self, query, *, run_manager):
        return self.documents


async def test_a_retriever_whose_async_method_takes_no_k_is_held_to_it(documents, run):
    chain = create_rag_chain(ScriptedChatModel(script=["Jobs."]), OwnAsync(documents=documents))
    output = await run(chain, "Who founded Apple?", {"configurable": {"k": 1}})
    assert output["context"] == documents[:1]


async def test_documents_that_are_no_list_of_documents_are_an_error_that_says_so(run):
    chain = create_rag_chain(ScriptedChatModel(), RunnableLambda(lambda question: "text"))
    with pytest.raises(TypeError, match="not a list of documents"):
        await run(chain, "Who founded Apple?")
