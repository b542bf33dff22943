"""Conditions that a model reads out of a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate

from langchain_graft.retrievers import FusionRetriever
from langchain_graft.retrievers.filters import check_filter
from langchain_graft.retrievers.index import IndexRetriever
from langchain_graft.retrievers.metadata_conditions import MetadataField, read_conditions
from langchain_graft.retrievers.self_query import SelfQueryRetriever
from langchain_graft.testing import ScriptedChatModel

FIELDS = [
    MetadataField("year", "when it came out", "number"),
    MetadataField("lang", values=("en", "zh")),
    MetadataField("author", "who wrote it"),
    MetadataField("old", type="boolean"),
    MetadataField("年份", type="number"),
]
ASKED = "Which slots had computers by Jobs before 1980?"


@pytest.mark.parametrize(
    ("reply", "query", "where"),
    [
        ("query: slots\nyear < 1980", "slots", {"year": {"$lt": 1980}}),
        (
            '- Query: "slots"\n- `year` >= 1,977\n- lang = EN',
            "slots",
            {"$and": [{"year": {"$gte": 1977}}, {"lang": "en"}]},
        ),
        ("year：1977", ASKED, {"year": 1977}),
        ("query: x\nyear = 1977.5\nyear = 1977.5", "x", {"year": 1977.5}),
        ("query: x\nlang in [en, zh, fr]", "x", {"lang": {"$in": ["en", "zh"]}}),
        ("query: x\nold = yes", "x", {"old": True}),
        ("query: x\nauthor != jobs", "x", {"author": {"$ne": "jobs"}}),
        ("查询：插槽\n年份 ≤ １９８０", "插槽", {"年份": {"$lte": 1980}}),
        ("query: x\ncolour = red\nlang = fr\nyear = many\nauthor = Wozniak\nlang > en", "x", {}),
        ("query: x\n$or = 1\nyear", "x", {}),
        ("", ASKED, {}),
        ("The answer is eight.", ASKED, {}),
    ],
)  # fmt: skip
def test_what_a_reply_sets(reply, query, where):
    assert read_conditions(reply, FIELDS, question=ASKED) == (query, where)


def test_a_number_needs_a_number_in_the_question():
    assert read_conditions("year > 1990", FIELDS, question="Which are new?")[1] == {}
    assert read_conditions("year = 1990", FIELDS, question="一九九〇年的书")[1] == {"year": 1990}


@given(
    st.lists(
        st.sampled_from(["year", "lang", "author", "$and", "old"])
        | st.sampled_from([" = ", ">=", " in ", ":", "\n", "query: "])
        | st.sampled_from(["1980", "en", "Jobs", "true", "[", ","])
        | st.text(max_size=5),
        max_size=12,
    ).map("".join)
)
def test_it_never_raises_and_gives_a_filter(reply):
    query, where = read_conditions(reply, FIELDS, question=ASKED)
    assert query
    assert check_filter(where) == where


@pytest.mark.parametrize(
    "wrong", [{"name": "$or"}, {"name": ""}, {"name": "a b"}, {"type": "date"}]
)
def test_a_field_that_can_not_be(wrong):
    with pytest.raises(ValueError, match="field"):
        MetadataField(**{"name": "year", **wrong})


async def _sync(retriever, query, **asked):
    return retriever.invoke(query, **asked)


async def _async(retriever, query, **asked):
    return await retriever.ainvoke(query, **asked)


@pytest.fixture(params=[_sync, _async])
def find(request):
    return request.param


@pytest.fixture
def create(make_words, shelf):
    def create(*replies, **settings):
        return SelfQueryRetriever(
            retriever=IndexRetriever(index=make_words(shelf)),
            model=ScriptedChatModel(script=list(replies)),
            fields=FIELDS,
            **settings,
        )

    return create


def ids(documents):
    return {document.id for document in documents}


async def test_the_conditions_are_searched_with(find, create):
    retriever = create("query: slots\nyear < 1980")
    found = await find(retriever, ASKED)
    assert ids(found) == {"apple"}
    assert found[0].metadata["self_query"] == {"query": "slots", "filter": {"year": {"$lt": 1980}}}
    assert "warnings" not in found[0].metadata
    assert "- lang (text): one of en, zh" in retriever.model.asked[0][-1].text


async def test_a_filter_that_nothing_meets_is_given_up_and_told(find, create):
    found = await find(create("query: slots\nyear > 2020"), "Which slots in 2021?")
    assert ids(found) == {"apple", "pc"}
    assert found[0].metadata["self_query"]["filter"] == {}
    assert "nothing met" in found[0].metadata["warnings"][0]


@pytest.mark.parametrize("reply", ["year > 0\nlang = en", "query: x\nyear = 1"])
async def test_the_own_filter_is_never_widened(find, create, reply):
    retriever = create(reply, reply, filter={"year": {"$lt": 1980}})
    found = await find(retriever, "slots of 1981", filter={"year": {"$gt": 1970}})
    assert ids(found) == {"apple"}
    assert await find(retriever, "slots of 1981", filter={"year": 1981}) == []


async def test_a_model_that_fails_is_told(find, create):
    found = await find(create(), "slots")
    assert ids(found) == {"apple", "pc"}
    assert "no conditions read" in found[0].metadata["warnings"][0]


async def test_wrong_use(find, create):
    with pytest.raises(ValueError, match="k must"):
        await find(create("x"), "slots", k=0)
    with pytest.raises(ValueError, match="operator"):
        await find(create("x"), "slots", filter={"$x": 1})
    with pytest.raises(ValueError, match="fields"):
        create(prompt=ChatPromptTemplate.from_template("{input}"))


async def test_fused_it_searches_under_the_fusions_filter(find, make_words):
    """Filtered behind the search, what is wanted would not have been among the first."""
    crowd = [Document(f"slots {n}", id=str(n), metadata={"lang": "en"}) for n in range(9)]
    wanted = Document("eight slots", id="zh", metadata={"lang": "zh"})
    retriever = SelfQueryRetriever(
        retriever=IndexRetriever(index=make_words([*crowd, wanted])),
        model=ScriptedChatModel(script=["query: slots"]),
        fields=FIELDS,
    )
    fusion = FusionRetriever(retrievers=[retriever], fetch_k=1, k=1, filter={"lang": "zh"})
    assert ids(await find(fusion, "slots")) == {"zh"}


@pytest.mark.parametrize("is_async", [True, False])
async def test_each_of_several_questions_has_its_own_conditions(create, is_async):
    replies = {"old": "query: slots\nyear < 1980", "new": "query: slots\nyear > 1980"}
    retriever = create()
    retriever.model.reply = lambda prompt: next(
        (of for name, of in replies.items() if f"slots are {name}" in prompt), None
    )
    asked = ["Which slots are old, of 1979?", "Which slots are new, of 1981?", "<|slots|> slots"]
    found = await retriever.asearch_many(asked) if is_async else retriever.search_many(asked)
    assert list(map(ids, found)) == [{"apple"}, {"pc"}, {"apple", "pc"}]
    assert "no conditions read" in found[2][0].metadata["warnings"][0]
    assert not any("<|slots|>" in asked[-1].text for asked in retriever.model.asked)
