"""Both stores let through exactly what `matches` lets through."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_graft.retrievers import Query, matches

VALUES = [
    *(0, 1, -1, 5, 7.5, -7.5, 5.0, 2**53, 2**53 + 1, 2**62 + 1, 2**63, -(2**63), 2**64, 10**400),
    *(1e300, -1e-300, float("inf"), float("-inf"), float("nan"), True, False, None),
    *(
        "",
        "5",
        "true",
        "null",
        "zh",
        "中文",
        "2024-01-01",
        "2024-01-01T00:00:00Z",
        "a b:c",
        "*",
        "\0",
    ),
    *('"quoted"', "x" * 300, "x" * 301, ["zh"], {"zh": 5}),
]
KEYS = [
    "year",
    "score",
    "lang",
    "a.b",
    "a b",
    "",
    "_id",
    "graft_json",
    "chroma:document",
    "#x",
    "年",
]
SCALARS = [value for value in VALUES if isinstance(value, str | int | float)]
COMPARE = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]

keys = st.sampled_from(KEYS)
near = st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=5)
scalars = st.sampled_from(SCALARS) | near
comparisons = st.one_of(
    scalars,
    st.dictionaries(st.sampled_from(COMPARE), scalars, min_size=1, max_size=2),
    st.dictionaries(
        st.sampled_from(["$in", "$nin"]), st.lists(scalars, min_size=1, max_size=4), min_size=1
    ),
    st.fixed_dictionaries({"$exists": st.booleans()}),
)
filters = st.recursive(
    st.dictionaries(keys, comparisons, min_size=1, max_size=2),
    lambda part: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(part, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$or": st.lists(part, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$not": part}),
    ),
    max_leaves=5,
)
metadatas = st.dictionaries(keys, st.sampled_from(VALUES) | near, max_size=4)


def documents(metadatas):
    return [
        Document(id=f"d{n}", page_content="apple", metadata=metadata)
        for n, metadata in enumerate(metadatas)
    ]


def agree(index, world, where):
    [found] = index.search_many([Query("apple")], k=len(world) + 1, filter=where)
    expected = {document.id for document in world if matches(where, document.metadata)}
    assert {document.id for document in found} == expected


@pytest.fixture(scope="module")
def world():
    """Every value under the key `year`, alone and with another key beside it; and no key at all."""
    alone = [{"year": value} for value in VALUES]
    beside = [{key: VALUES[n], "lang": "zh"} for n, key in enumerate(KEYS)]
    return documents([*alone, *beside, {}])


@pytest.fixture(scope="module", params=["vector", "words"])
def make_either(request, make_vector, make_words):
    return make_vector if request.param == "vector" else make_words


@pytest.fixture(scope="module")
def full_index(make_either, world):
    return make_either(world)


@pytest.mark.parametrize("name", COMPARE)
def test_every_value_is_compared_with_every_value(full_index, world, name):
    for operand in SCALARS:
        agree(full_index, world, {"year": {name: operand}})


@pytest.mark.parametrize("name", ["$in", "$nin"])
def test_a_number_beyond_all_floats_is_compared(full_index, world, name):
    agree(full_index, world, {"year": {name: [10**400, 1984]}})


@settings(deadline=None, max_examples=150)
@given(where=filters)
def test_a_filter_passes_what_matches_passes(full_index, world, where):
    agree(full_index, world, where)


@settings(deadline=None, max_examples=25)
@given(
    metadatas=st.lists(metadatas, min_size=1, max_size=4),
    wheres=st.lists(filters, min_size=5, max_size=5),
)
def test_also_on_metadata_of_any_kind(make_either, metadatas, wheres):
    world = documents(metadatas)
    index = make_either(world)
    for where in wheres:
        agree(index, world, where)


def test_the_best_that_pass_come_though_many_better_ones_do_not(make_either):
    crowd = [Document(id=f"n{n}", page_content="apple", metadata={"n": n}) for n in range(200)]
    last = Document(id="last", page_content="apple and much more that is said here")
    index = make_either([*crowd, last])
    where = {"n": {"$exists": False}}  # no store is asked this: it is found by looking further
    [found] = index.search_many([Query("apple")], k=1, filter=where)
    assert [document.id for document in found] == ["last"]
