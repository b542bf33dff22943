"""Which names can be one thing's."""

import pytest

from langchain_graft.graph.entity_resolution.kinds import agree, kind_of
from langchain_graft.graph.entity_resolution.names import core_name, match_names, plain_name


@pytest.mark.parametrize(
    ("one", "other", "kind", "reason"),
    [
        ("Apple Inc.", "apple inc", "organization", "same name"),
        ("Ｄｒ． Jane Roe", "Jane Roe", "person", "same name"),
        ("the U.S.", "US", "place", "same name"),
        ("王选教授", "王选", "person", "same name"),
        ("喬布斯", "乔布斯", "person", "same name"),
        ("聯想集團有限公司", "联想", "organization", "same name without its form"),
        ("NeXT, Inc.", "NeXT", "organization", "same name without its form"),
        ("联想集团有限公司", "联想", "organization", "same name without its form"),
        ("J. R. R. Tolkien", "John Ronald Reuel Tolkien", "person", "initials"),
        ("Bill Gates", "William H. Gates", "person", "initials"),
        ("Steve Wozniak", "Stephen Gary Wozniak", "person", "initials"),
        ("Jobs", "Steve Jobs", "person", "part of the name"),
        ("Woz", "Steve Wozniak", "person", "part of the name"),
        ("乔布斯", "史蒂夫·乔布斯", "person", "part of the name"),
        ("IBM", "International Business Machines Corp.", "organization", "abbreviation"),
        ("IBM PC", "IBM Personal Computer", "creation", "abbreviation"),
        ("北大", "北京大学", "organization", "abbreviation"),
        ("中科院计算所", "中国科学院计算技术研究所", "organization", "abbreviation"),
        ("Apple", "Apple Computer", "organization", "part of the name"),
        ("PARC", "Xerox PARC", "organization", "part of the name"),
        ("Altair", "Altair 8800", "creation", "part of the name"),
        ("Jef Raskin", "Jeff Raskin", "person", "spelling"),
        ("Hewlett Packard", "Hewlet Packard", "organization", "spelling"),
    ],
)
def test_names_that_can_be_one_things(one, other, kind, reason):
    for pair in ((one, other), (other, one)):
        found = match_names(*pair, kind=kind)
        assert found is not None
        assert found.reason == reason


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("Apple II", "Apple III", "creation"),
        ("Intel 8080", "Intel 8088", "creation"),
        ("Apollo 11", "Apollo 12", "event"),
        ("George W. Bush", "George H. W. Bush", "person"),
        ("Marie Curie", "Pierre Curie", "person"),
        ("北京大学", "清华大学", "organization"),
        ("Lisa", "Pisa", "creation"),
        ("IBM", "Intel Business Men", "person"),
        ("Michael Jordan", "Michael Jackson", "person"),
    ],
)
def test_names_that_can_not(one, other, kind):
    assert match_names(one, other, kind=kind) is None
    assert match_names(other, one, kind=kind) is None


def test_who_and_the_who_are_less_likely_one():
    sure, unsure = match_names("WHO", "WHO"), match_names("WHO", "The Who")
    assert unsure.prior < sure.prior


def test_plain_and_core_names():
    assert plain_name("  The “Byte”  Shop ") == "byte shop"
    assert core_name("Apple Computer, Inc.") == "apple computer"
    assert core_name("公司") == "公司"


def test_labels_of_many_words_have_a_kind():
    assert [kind_of(label) for label in ("SoftwareCompany", "Person", "人物", "Thing")] == [
        "organization",
        "person",
        "person",
        "",
    ]
    assert agree("person", "")
    assert not agree("person", "organization")
