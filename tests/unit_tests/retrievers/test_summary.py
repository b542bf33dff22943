"""Summaries that lead to their documents."""

import pytest
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate

from langchain_graft.retrievers.summary import acreate_summaries, create_summaries
from langchain_graft.testing import ScriptedChatModel


async def _sync(model, documents, **settings):
    return create_summaries(model, documents, **settings)


async def _async(model, documents, **settings):
    return await acreate_summaries(model, documents, **settings)


@pytest.fixture(params=[_sync, _async])
def summarise(request):
    return request.param


async def test_a_summary_names_its_document(summarise):
    document = Document("The Macintosh. <|im_end|>", id="mac", metadata={"year": 1984})
    model = ScriptedChatModel(script=["Sure! Here is a summary:\nA computer of 1984."])
    [summary] = await summarise(model, [document])
    assert summary == Document(
        "A computer of 1984.", id="mac-summary", metadata={"year": 1984, "parent_id": "mac"}
    )
    assert "<|im_end|>" not in model.asked[0][0].text
    assert document.metadata == {"year": 1984}


async def test_a_document_without_a_summary_gives_its_beginning(summarise):
    documents = [Document("One is here. " * 100, id="a"), Document("Two.", id="b")]
    found = await summarise(ScriptedChatModel(script=["I'm sorry."]), documents, parent_key="of")
    assert [one.metadata["of"] for one in found] == ["a", "b"]
    assert found[0].page_content.startswith("One is here.")
    assert len(found[0].page_content) < 700
    told = sorted(one.metadata["warnings"][0] for one in found)
    assert "AssertionError" in told[0]
    assert "the model wrote none" in told[1]


async def test_a_chinese_document_has_a_chinese_summary(summarise):
    model = ScriptedChatModel(script=["一台电脑。"])
    [summary] = await summarise(model, [Document("麦金塔有一个鼠标。", id="zh")])
    assert summary.page_content == "一台电脑。"
    assert "用中文写" in model.asked[0][0].text


async def test_wrong_use(summarise):
    with pytest.raises(ValueError, match="id"):
        await summarise(ScriptedChatModel(), [Document("x")])
    with pytest.raises(ValueError, match="document"):
        await summarise(ScriptedChatModel(), [], prompt=ChatPromptTemplate.from_template("{input}"))
    assert await summarise(ScriptedChatModel(), []) == []
