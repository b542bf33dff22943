"""The filter dialect, as `matches` reads it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_graft.retrievers.filters import both_filters, check_filter, indexable, matches

BOOK = {"lang": "zh", "year": 1984, "rating": 4.5, "signed": True, "tags": ["a"], "gone": None}

PASSES = [
    None,
    {},
    {"lang": "zh"},
    {"year": 1984.0},
    {"year": {"$gte": 1984, "$lt": 1985}},
    {"rating": {"$gt": 4, "$lte": 4.5}},
    {"lang": {"$gt": "en"}},
    {"lang": {"$in": ["en", "zh"]}},
    {"lang": {"$nin": ["en"]}},
    {"lang": {"$ne": "en"}},
    {"signed": True},
    {"signed": {"$gte": False}},
    {"year": {"$ne": "1984"}},
    {"missing": {"$ne": 1}},
    {"missing": {"$nin": [1]}},
    {"missing": {"$exists": False}},
    {"gone": {"$exists": False}},
    {"tags": {"$exists": True}},
    {"$and": [{"lang": "zh"}, {"year": 1984}]},
    {"$or": [{"lang": "en"}, {"year": 1984}]},
    {"$not": {"lang": "en"}},
    {"$not": {"$or": [{"lang": "en"}, {"$not": {"signed": True}}]}},
    {"year": {"$lt": float("inf")}},
    {"year": {"$lt": 10**400}},
]
FAILS = [
    {"lang": "en"},
    {"lang": "zh", "year": 1985},
    {"year": "1984"},
    {"year": {"$lt": "zh"}},
    {"signed": 1},
    {"signed": {"$gt": 0}},
    {"year": {"$in": [1983, "1984", True]}},
    {"missing": {"$lt": 1}},
    {"missing": {"$gte": 1}},
    {"missing": {"$in": [1]}},
    {"missing": {"$exists": True}},
    {"gone": {"$exists": True}},
    {"tags": "a"},
    {"year": float("nan")},
    {"$and": [{"lang": "zh"}, {"year": 1985}]},
    {"$or": [{"lang": "en"}, {"year": 1985}]},
    {"$not": {"lang": "zh", "year": 1984}},
    {"$not": {}},
]
NOT_OF_THE_DIALECT = [
    {"year": {}},
    "lang = zh",
    ["lang"],
    {"$nor": [{"lang": "zh"}]},
    {"$and": []},
    {"$or": {"lang": "zh"}},
    {"$or": "zh"},
    {"$and": [{"$xor": []}]},
    {"$not": [{"lang": "zh"}]},
    {"lang": {"$like": "z%"}},
    {"lang": {"lang": "zh"}},
    {"lang": {"$in": "zh"}},
    {"lang": {"$in": []}},
    {"lang": {"$nin": [None]}},
    {"lang": ["zh"]},
    {"lang": None},
]

scalars = st.sampled_from(["zh", "en", "", 0, 1, 1.0, -2.5, True, False, float("nan"), 2**70])
comparisons = st.one_of(
    scalars,
    st.dictionaries(
        st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), scalars, min_size=1
    ),
    st.dictionaries(
        st.sampled_from(["$in", "$nin"]), st.lists(scalars, min_size=1, max_size=3), min_size=1
    ),
    st.fixed_dictionaries({"$exists": st.booleans()}),
)
plain_filters = st.dictionaries(st.sampled_from("abc"), comparisons, max_size=2)
filters = st.recursive(
    plain_filters,
    lambda part: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(part, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$or": st.lists(part, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$not": part}),
    ),
    max_leaves=6,
)
metadatas = st.dictionaries(st.sampled_from("abc"), scalars | st.none())


@pytest.mark.parametrize("where", PASSES)
def test_passes(where):
    assert matches(check_filter(where), BOOK)


@pytest.mark.parametrize("where", FAILS)
def test_fails(where):
    assert not matches(check_filter(where), BOOK)


@pytest.mark.parametrize("where", NOT_OF_THE_DIALECT)
def test_what_is_not_of_the_dialect_is_refused(where):
    with pytest.raises(ValueError, match=r"filter|\$|compares"):
        check_filter(where)


@settings(deadline=None, max_examples=200)
@given(filters, filters, metadatas)
def test_the_connectives_are_those_of_logic(one, other, metadata):
    first, second = matches(check_filter(one), metadata), matches(check_filter(other), metadata)
    assert matches({"$and": [one, other]}, metadata) == (first and second)
    assert matches({"$or": [one, other]}, metadata) == (first or second)
    assert matches({"$not": one}, metadata) == (not first)
    assert matches(both_filters(one, other), metadata) == (first and second)


@settings(deadline=None)
@given(st.sampled_from("abc"), scalars, metadatas)
def test_the_comparisons_agree_with_each_other(key, scalar, metadata):
    def holds(name, given=scalar):
        return matches({key: {name: given}}, metadata)

    assert matches({key: scalar}, metadata) == holds("$eq") == holds("$in", [scalar])
    assert holds("$ne") == holds("$nin", [scalar]) == (not holds("$eq"))
    assert holds("$gte") == (holds("$gt") or holds("$eq"))
    assert holds("$lte") == (holds("$lt") or holds("$eq"))
    assert not (holds("$gt") and holds("$lt"))


@pytest.mark.parametrize(
    ("value", "kept"),
    [(2**63, float(2**63)), (-(10**400), -1e308), (float("inf"), 1e308), (True, True), (7, 7)],
)
def test_numbers_are_brought_into_the_range_of_stores(value, kept):
    found = indexable({"key": value})["key"]
    assert found == kept
    assert type(found) is type(kept)


@pytest.mark.parametrize("value", [None, float("nan"), [1], {"a": 1}])
def test_what_no_store_compares_is_left_out(value):
    assert indexable({"key": value}) == {}
