"""What models really say when they are asked for a graph."""

import pytest

from langchain_graft.graph.extraction_reply import (
    EntityClaim,
    RelationClaim,
    label_name,
    read_claims,
    says_none,
    type_name,
)

FOUNDED = ("Jobs", "FOUNDED", "Apple")


def triples(reply):
    claims = read_claims(reply)
    return [(c.source, c.type, c.target) for c in claims if isinstance(c, RelationClaim)]


@pytest.mark.parametrize(
    "reply",
    [
        "Jobs | Person | FOUNDED | Apple | Company",
        "Here is the graph:\n\n1. Jobs | Person | founded | Apple | Company",
        "- **Jobs** | Person | FOUNDED | Apple | Company",
        "| Name | Type | Verb | Name |\n|---|---|---|---|\n| Jobs | | founded | Apple |",
        "Jobs ｜ Person ｜ FOUNDED ｜ Apple ｜ Company",
        "Jobs (Person) | FOUNDED | Apple (Company)",
        "Jobs\tfounded\tApple",
        "(Jobs, founded, Apple)",
        '("Jobs", "founded", "Apple"),',
        "（Jobs，founded，Apple）",
        "(Jobs:Person)-[:FOUNDED]->(Apple:Company)",
        "(Apple:Company)<-[:FOUNDED]-(Jobs:Person)",
        "Jobs --[FOUNDED]--> Apple",
        "Jobs -> founded -> Apple",
        "Jobs - founded - Apple",
        '("relationship"<|>Jobs<|>Apple<|>founded<|>9)##',
        "<think>Apple | x | y</think>\n```\nJobs | founded | Apple\n```",
        "<|im_start|>Jobs | founded | Apple<|im_end|>",
        '{"relations": [{"source": "Jobs", "type": "founded", "target": "Apple"}]}',
        '{"nodes": [], "edges": [{"head": "Jobs", "relation": "founded", "tail": "Apple",},]}',
        '[{"subject": "Jobs", "predicate": "founded", "object": "Apple"}, {"subject": "Jo',
        "```json\n[{'from': 'Jobs', 'type': 'founded', 'to': {'id': 'Apple'}}]\n```",
        '[["Jobs", "founded", "Apple"]]',
        "[('Jobs', 'founded', 'Apple')]",
        'The graph: {"edges": [{"source": "Jobs", "label": "FOUNDED", "target": "Apple"}]} Done.',
        '{"edges": [{"source": "Jobs", "label": "FOUNDED", "target": "Apple"} {"source": "x"}]',
        '{"主语": "Jobs", "关系": "founded", "宾语": "Apple"}',
    ],
)
def test_one_relation_in_every_dress(reply):
    assert triples(reply) == [FOUNDED]


def test_lines_say_what_the_ends_are():
    assert read_claims("Jobs | person | founded | Apple Computer | computer company") == [
        RelationClaim(
            source="Jobs",
            type="FOUNDED",
            target="Apple Computer",
            source_label="Person",
            target_label="ComputerCompany",
        )
    ]
    assert read_claims("乔布斯 | 人物 | 创办 | 苹果公司 | 公司")[0].target_label == "公司"


def test_entities_alone():
    assert read_claims("Jobs | Person\n2. 北京 | Place") == [
        EntityClaim(name="Jobs", label="Person"),
        EntityClaim(name="北京", label="Place"),
    ]
    reply = '{"entities": [{"id": "Jobs", "label": ["Person"]}, {"name": "Apple"}]}'
    assert read_claims(reply) == [
        EntityClaim(name="Jobs", label="Person"),
        EntityClaim(name="Apple"),
    ]


@pytest.mark.parametrize(
    "reply",
    [
        "He | Person | FOUNDED | Apple | Company",
        "Jobs | Person | FOUNDED | it | Company",
        "他 | Person | FOUNDED | 苹果 | Company",
        "Apple | Company | IS | Apple | Company",
        "Jobs | Person |  | Apple | Company",
        f"Jobs | Person | FOUNDED | {'very ' * 50}long | Company",
        "name | Type | RELATION | name | Type",
        "Sorry, I can not do that.",
        "The text is about Steve Jobs, who founded Apple.",
        "",
        "{" * 5000,
        "[" * 50_000,
    ],
)
def test_what_is_no_claim(reply):
    assert read_claims(reply) == []


def test_each_claim_once_and_in_order():
    reply = "a1 | knows | b1\nc1 | knows | d1\na1 | KNOWS | b1"
    assert triples(reply) == [("a1", "KNOWS", "b1"), ("c1", "KNOWS", "d1")]


@pytest.mark.parametrize(
    "reply", ["NONE", "none.", "无", "[]", "{}", '{"relations": []}', "```\n[]\n```"]
)
def test_a_model_may_say_that_there_is_nothing(reply):
    assert says_none(reply)


def test_garbage_says_not_that_there_is_nothing():
    assert not any(map(says_none, ["I can not help.", "asdf", '{"relations": ["x"]}', ""]))


def test_names_of_types():
    assert [type_name(t) for t in ("worked for", "foundedBy", "IS-A", "创办 于")] == [
        "WORKED_FOR",
        "FOUNDED_BY",
        "IS_A",
        "创办_于",
    ]
    assert label_name("software company") == "SoftwareCompany"


def test_what_a_small_model_said():
    """qwen2.5-coder-1.5b on a passage of examples/corpus/companies/next.md."""
    reply = """\
Jobs | Person | STARTED_NEW_COMPANY | NONE
Jobs | Person | STARTED_WITH | Bud Tribble | Person
Apple | Organization | SUELED | NONE
Jobs | Person | INVESTED | 7 million dollars | Money"""
    assert triples(reply) == [
        ("Jobs", "STARTED_WITH", "Bud Tribble"),
        ("Jobs", "INVESTED", "7 million dollars"),
    ]
