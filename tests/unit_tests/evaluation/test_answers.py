"""Answers against accepted ones, in English and Chinese."""

import pytest

from langchain_graft.evaluation import answer_f1, exact_match
from langchain_graft.evaluation.answers import answer_tokens, contains_answer


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The Apple II, [2] a computer!", ["apple", "ii", "computer"]),
        ("1,000,000 dollars", ["1000000", "dollars"]),
        ("$666.66", ["666.66"]),
        ("乔布斯１９７６年", ["乔", "布", "斯", "1976", "年"]),
        ("ＩＢＭ　PC", ["ibm", "pc"]),
        ("Straße", ["strasse"]),
        ("", []),
        ("the [1]", []),
    ],
)
def test_tokens(text, tokens):
    assert answer_tokens(text) == tokens


@pytest.mark.parametrize(
    ("answer", "accepted", "same"),
    [
        ("The Apple I. [1]", ["apple i"], 1.0),
        ("$800", ["800 dollars", "800"], 1.0),
        ("史蒂夫·乔布斯。", ["史蒂夫乔布斯"], 1.0),
        ("Apple II", ["Apple I"], 0.0),
        ("Apple", [], 0.0),
    ],
)
def test_exact_match(answer, accepted, same):
    assert exact_match(answer, accepted) == same


@pytest.mark.parametrize(
    ("answer", "accepted", "f1"),
    [
        ("Steve Jobs", ["Steve Wozniak"], 1 / 2),
        ("It was Steve Jobs", ["Steve Jobs"], 2 * (2 / 4) * 1 / (2 / 4 + 1)),
        ("Jobs Jobs Jobs", ["Jobs"], 2 * (1 / 3) * 1 / (1 / 3 + 1)),
        ("Wayne", ["Jobs", "Wayne"], 1.0),
        ("乔布斯", ["史蒂夫乔布斯"], 2 * 1 * (3 / 6) / (1 + 3 / 6)),
        ("nobody", ["Jobs"], 0.0),
        ("", ["Jobs"], 0.0),
        ("Jobs", [], 0.0),
    ],
)
def test_f1(answer, accepted, f1):
    assert answer_f1(answer, accepted) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("answer", "accepted", "stands"),
    [
        ("It was founded by Steve Jobs in 1976.", ["Jobs", "Gates"], 1.0),
        ("由乔布斯创办。", ["乔布斯"], 1.0),
        ("Steve and Jobs", ["Steve Jobs"], 0.0),
        ("1976", ["76"], 0.0),
        ("anything", ["the"], 0.0),
        ("anything", [], 0.0),
    ],
)
def test_an_answer_contains_an_accepted_one(answer, accepted, stands):
    assert contains_answer(answer, accepted) == stands
