"""What models really say when they are asked for queries."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_graft.retrievers.rewriters.reply import read_passage, read_queries, says_none

TWO = ["Who set up Apple?", "Which people started Apple in 1976?"]
ZH = ["苹果公司的创始人是谁？", "谁在1976年创立了苹果？"]

DRESSES = {
    "lines": "Who set up Apple?\nWhich people started Apple in 1976?",
    "numbers": "1. Who set up Apple?\n2. Which people started Apple in 1976?",
    "brackets": "1) Who set up Apple?\n(2) Which people started Apple in 1976?",
    "bullets": "- Who set up Apple?\n* Which people started Apple in 1976?",
    "dots": "• Who set up Apple?\n• Which people started Apple in 1976?",
    "preamble": "Here are two other questions:\n\n1. Who set up Apple?\n\n"
    "2. Which people started Apple in 1976?",
    "sure": "Sure! Here are the queries:\nWho set up Apple?\nWhich people started Apple in 1976?",
    "comment": "1. Who set up Apple?\n2. Which people started Apple in 1976?\n\n"
    "These questions look for the same answer in different ways.",
    "hope": "Who set up Apple?\nWhich people started Apple in 1976?\nI hope this helps!",
    "quotes": '"Who set up Apple?"\n"Which people started Apple in 1976?"',
    "labels": "Query 1: Who set up Apple?\nQuery 2: Which people started Apple in 1976?",
    "bold": "1. **Query 1**: Who set up Apple?\n2. **Which people started Apple in 1976?**",
    "fence": "```text\nWho set up Apple?\nWhich people started Apple in 1976?\n```",
    "one line": "1. Who set up Apple? 2. Which people started Apple in 1976?",
    "two in a line": "Who set up Apple? Which people started Apple in 1976?",
    "remarks": "Who set up Apple? (in other words)\n"
    "Which people started Apple in 1976? - This is more specific.",
    "control words": "Who set up Apple?<|im_end|>\n<|im_start|>Which people started Apple in 1976?",
    "thoughts": "<think>Who could it be?\nMaybe Jobs.</think>\nWho set up Apple?\n"
    "Which people started Apple in 1976?",
    "original": "Original question: Who founded Apple?\nWho founded apple\nWho set up Apple?\n"
    "Which people started Apple in 1976?",
    "repetitions": "Who set up Apple?\nwho set up  APPLE\nＷho set up Apple？\n"
    "Which people started Apple in 1976?",
    "answers": "Who set up Apple?\nApple was founded by Steve Jobs.\n"
    "Which people started Apple in 1976?\nAnswer: Steve Jobs",
    "json": '["Who set up Apple?", "Which people started Apple in 1976?"]',
    "fenced json": '```json\n{"queries": ["Who set up Apple?",\n'
    '"Which people started Apple in 1976?"]}\n```',
    "json objects": '[{"query": "Who set up Apple?"}, '
    '{"query": "Which people started Apple in 1976?"}]',
    "cut json": '["Who set up Apple?", "Which people started Apple in 1976?',
    "python list": "['Who set up Apple?', 'Which people started Apple in 1976?']",
    "json with a comma": 'Here: ["Who set up Apple?", "Which people started Apple in 1976?",]',
}
CHINESE = {
    "numbers": "1、苹果公司的创始人是谁？\n2、谁在1976年创立了苹果？",
    "han numbers": "一、苹果公司的创始人是谁？\n二、谁在1976年创立了苹果？",
    "circles": "①苹果公司的创始人是谁？\n②谁在1976年创立了苹果？",
    "preamble": "好的，以下是两个问题：\n苹果公司的创始人是谁？\n谁在1976年创立了苹果？",
    "labels": "问题1：苹果公司的创始人是谁？\n问题二：谁在1976年创立了苹果？",
    "quotes": "“苹果公司的创始人是谁？”\n「谁在1976年创立了苹果？」",
    "comment": "苹果公司的创始人是谁？\n谁在1976年创立了苹果？\n希望这些问题对您有帮助。",
    "answer": "苹果公司的创始人是谁？\n苹果公司是由史蒂夫·乔布斯创办的。\n谁在1976年创立了苹果？",
    "one line": "1. 苹果公司的创始人是谁？2. 谁在1976年创立了苹果？",
    "json": '["苹果公司的创始人是谁？", "谁在1976年创立了苹果？"]',
    "broken json": '["苹果公司的创始人是谁？", "谁在1976年创立了苹果？"',
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_list_in_any_dress(dress):
    assert read_queries(DRESSES[dress], n=4, original="Who founded Apple?") == TWO


@pytest.mark.parametrize("dress", CHINESE)
def test_a_chinese_list_in_any_dress(dress):
    assert read_queries(CHINESE[dress], n=4, original="苹果公司是谁创办的？") == ZH


REAL = [  # what qwen2.5-coder-1.5b said
    ("Who founded Apple?", "Who founded Apple?", []),
    (
        "Who directed the film that won the Best Picture Oscar in 1998?",
        "Who directed the film that won the Best Picture Oscar in 1998?\n" * 2,
        [],
    ),
    ("What was the operating income of Sony in 2019?", "NONE", []),
    (
        "Which university did Alan Turing attend between 1931 and 1934?",
        """\
What university did Alan Turing attend from 1931 to 1934?
Which university did Alan Turing study at during his time at Cambridge University?
What university did Alan Turing attend from 1931 to 1934?""",
        [
            "What university did Alan Turing attend from 1931 to 1934?",
            "Which university did Alan Turing study at during his time at Cambridge University?",
        ],
    ),
    ("NASA Mars rover landing date", "NASA Mars rover landing date?", []),
    ("2008年奥运会开幕式的导演是谁？", "Question: 2008年奥运会开幕式的导演是谁？", []),
    (
        "《红楼梦》的作者是哪个朝代的人？",
        "Question: 《红楼梦》的作者是谁？",
        ["《红楼梦》的作者是谁？"],
    ),
    (
        "高血压不能吃什么东西",
        "高血压患者应该避免哪些食物？\n高血压患者应该吃哪些食物？\n高血压患者应该避免哪些食物？",
        ["高血压患者应该避免哪些食物？", "高血压患者应该吃哪些食物？"],
    ),
    (
        "Which university did Alan Turing attend between 1931 and 1934?",
        "哪所大学在1931年至1934年间由阿兰·图灵 attended？",
        ["哪所大学在1931年至1934年间由阿兰·图灵 attended？"],
    ),
]


@pytest.mark.parametrize(("question", "reply", "queries"), REAL)
def test_what_a_small_model_said(question, reply, queries):
    assert read_queries(reply, n=4, original=question) == queries


@pytest.mark.parametrize(
    "line",
    [
        "3D printing price 2024",
        "1984 novel author",
        "C. elegans genome size",
        "24-hour pharmacies in Berlin",
        "阿兰·图灵在1931年上的是哪所大学？",
        "What is the note: A or B?",
        "What does the query planner of SQLite do?",
        "List of Apple's founders.",
        "Tell me who has founded Apple.",
    ],
)
def test_what_belongs_to_a_query_stays(line):
    assert read_queries(line, n=4) == [line]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "NONE",
        "none.",
        "无",
        "Sure!",
        "Here is the question:",
        "...",
        "x" * 301,
        "[]",
        "{}",
        "[[",
        "I'm sorry, but I can't help with that.",
        "抱歉，我无法回答。",
        "Who founded Apple?",
        "[3]",
    ],
)
def test_a_reply_without_queries(reply):
    assert read_queries(reply, n=4, original="Who founded Apple?") == []


def test_one_query_is_not_cut_into_its_sentences():
    asked = "Who was he? And when was he born?"
    assert read_queries(asked, n=1) == [asked]
    assert len(read_queries(asked, n=2)) == 2


@pytest.mark.parametrize("reply", ["NONE", " none. ", "None", "无", "没有。", "N/A"])
def test_a_reply_that_says_none(reply):
    assert says_none(reply)
    assert not says_none(f"{reply} who?")


@pytest.mark.parametrize(
    ("reply", "passage"),
    [
        ("Apple was founded in 1976.", "Apple was founded in 1976."),
        ("Sure! Here is a passage:\nApple was founded\nin 1976.", "Apple was founded in 1976."),
        ('Passage: "Apple was founded in 1976."', "Apple was founded in 1976."),
        ("```\nApple was founded.<|im_end|>\n```", "Apple was founded."),
        ("段落：苹果公司创立于1976年。", "苹果公司创立于1976年。"),
        ("好的，以下是一段文字：\n苹果公司创立于1976年。", "苹果公司创立于1976年。"),
        ("I'm sorry, I can't write that.", ""),
        ("抱歉，我无法回答。", ""),
        ("", ""),
    ],
)
def test_a_passage(reply, passage):
    assert read_passage(reply) == passage


def _key(text):
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


_SAID = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from([*DRESSES.values(), *CHINESE.values(), "[", '{"', "```", "1.", "\n", "<|"]),
        max_size=6,
    ).map("".join),
    st.recursive(
        st.text(max_size=8) | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    ).map(json.dumps),
)


@given(_SAID, st.integers(1, 5), st.text(max_size=20))
def test_it_never_raises_and_keeps_its_promises(reply, n, original):
    queries = read_queries(reply, n=n, original=original)
    keys = [_key(query) for query in queries]
    assert len(queries) <= n
    assert len(set(keys)) == len(keys)
    assert _key(original) not in keys
    assert all(keys)
    assert all(len(query) <= 300 and "\n" not in query for query in queries)
    assert read_passage(reply) == read_passage(reply).strip()
