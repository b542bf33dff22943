"""What a reflecting model learns: the tokens that it will be asked for, and none that it reads."""

import pytest
from langchain_core.documents import Document

from langchain_graft.chains.self_rag.labelling import label_rows
from langchain_graft.chains.self_rag.reflection_prompt import ReflectionPrompt
from langchain_graft.chains.self_rag.reflection_rows import ReflectionEncoder
from langchain_graft.chains.self_rag.reserved_tokens import reserved_tokens
from langchain_graft.chains.self_rag.roles import Draft, Judged, Judgement
from langchain_graft.chains.self_rag.vocabulary import LABELS, REFLECTION_TOKENS
from langchain_graft.errors import ModelError
from langchain_graft.finetune_bridge import ReflectionRow
from langchain_graft.models.model_tokenizer import ModelTokenizer

TOLD = {
    "question": "The Lisa?",
    "answer": "Apple.",
    "passage": "The Lisa is of Apple.",
    "retrieve": True,
    "relevance": True,
    "support": "fully",
    "utility": 5,
}
END, ROOM = 0, 200


@pytest.fixture(scope="module")
def tokenizer(tiny_tokenizer):
    return ModelTokenizer(tiny_tokenizer, name="tiny")


@pytest.fixture(scope="module")
def labels(tokenizer):
    return reserved_tokens(tokenizer, len(tokenizer.fast) + 20)


@pytest.fixture(scope="module")
def prompt(tokenizer, labels):
    return ReflectionPrompt(tokenizer, labels)


@pytest.fixture(scope="module")
def sequences(prompt):
    def sequences(learns="generator", weight=1.0, room=ROOM, **row):
        encoder = ReflectionEncoder(prompt, end=END, learns=learns, judgement_weight=weight)
        return encoder.sequences(ReflectionRow(**row), max_tokens=room)

    return sequences


@pytest.fixture(scope="module")
def learned(sequences, labels):
    """The learned tokens of each sequence, labels by their names."""
    names = {token: label for label, token in labels.items()}

    def learned(**given):
        return [
            [names.get(one.ids[place], one.ids[place]) for place in one.learned]
            for one in sequences(**given)
        ]

    return learned


def test_a_generator_learns_what_it_writes_and_judges(learned, tokenizer):
    said = tokenizer.ids("Apple.")
    behind = ["[Fully supported]", "[Utility:5]", END]
    assert learned(**TOLD) == [["[Retrieval]", "[Relevant]", *said, *behind]]


def test_a_critic_learns_its_judgements_alone(learned):
    judged = ["[Retrieval]", "[Relevant]", "[Fully supported]", "[Utility:5]"]
    assert learned(learns="critic", **TOLD) == [judged, ["[Utility:5]"]]


def test_no_token_of_a_passage_is_learned_and_of_two_rows_neither(sequences, prompt):
    """The reference masks up to the last paragraph: what lies between two is lost."""
    [one] = sequences(**TOLD)
    begun = prompt.of_judgement(Judgement(aspect="retrieve", question=TOLD["question"]), ROOM)
    document = Document(page_content=TOLD["passage"])
    draft = Draft(question=TOLD["question"], passage=document, max_tokens=10)
    read = prompt.of_draft(draft, ROOM)
    assert list(one.ids[: len(read)]) == read  # the very tokens that are read in serving
    assert [place for place in one.learned if place < len(read)] == [len(begun)]
    assert one.learned[1:] == tuple(range(len(read), len(one.ids)))


def test_what_is_read_for_a_judgement_is_what_stands_before_it(sequences, prompt, labels):
    [one] = sequences(**TOLD)
    asked = Judgement(
        aspect="support",
        question=TOLD["question"],
        passage=Document(page_content=TOLD["passage"]),
        segment=TOLD["answer"],
    )
    place = one.ids.index(labels["[Fully supported]"])
    assert list(one.ids[:place]) == prompt.of_judgement(asked, ROOM)


def test_without_documents(learned, tokenizer):
    row = {"question": "2?", "answer": "Apple", "retrieve": False, "utility": 4}
    said = tokenizer.ids("Apple")
    assert learned(**row) == [["[No Retrieval]", *said, "[Utility:4]", END]]
    assert learned(question="2?", retrieve=True) == [["[Retrieval]"]]


def test_a_decision_against_what_follows_is_learned_apart(learned):
    row = {"question": "2?", "passage": "Apple", "retrieve": False, "relevance": False}
    assert learned(**row) == [["[No Retrieval]"], ["[Irrelevant]"]]


def test_an_answer_that_is_not_supported_is_read(learned):
    behind = ["[No support / Contradictory]", "[Utility:1]", END]
    told = {**TOLD, "support": "none", "utility": 1}
    assert learned(**told) == [["[Retrieval]", "[Relevant]", *behind]]


def test_what_a_row_does_not_say_is_not_learned(learned, tokenizer):
    told = {**TOLD, "retrieve": None, "support": None}
    assert learned(**told) == [["[Relevant]", *tokenizer.ids("Apple.")]]
    assert learned(question="The Lisa?") == []


def test_judgements_count_what_is_asked(sequences):
    [one] = sequences(weight=3.0, **TOLD)
    assert set(one.weights) == {1.0, 3.0}
    assert one.weights.count(3.0) == 4


def test_a_long_passage_is_cut_and_a_long_question_left_out(sequences):
    [one] = sequences(room=100, **{**TOLD, "passage": "The Lisa is of Apple. " * 100})
    assert len(one.ids) <= 100
    assert sequences(room=100, **{**TOLD, "question": "The Lisa? " * 100}) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"support": "[Fully supported]"}, "expected one of"),
        ({"retrieve": "yes"}, "true, false or null"),
        ({"utility": 6}, "1 to 5"),
        ({"question": " "}, "expected a text"),
        ({"passage": ""}, "are of a passage"),
        ({"answer": ""}, "of an answer"),
    ],
)
def test_rows_that_make_no_sense_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        ReflectionRow(**{**TOLD, **changed})


def test_tokens_that_nothing_says_stand_for_labels(tokenizer):
    size = len(tokenizer.fast)
    found = reserved_tokens(tokenizer, size + 20)
    assert found == dict(zip(REFLECTION_TOKENS, range(size, size + 13), strict=True))
    with pytest.raises(ModelError, match="needs 13 tokens that nothing says, the base has 4"):
        reserved_tokens(tokenizer, size + 4)


def test_a_critic_labels_what_rows_lack():
    asked = []

    class Sure:
        def judge(self, some, config=None):
            asked.extend(some)
            return [Judged(probabilities={LABELS[one.aspect][-1]: 0.9}) for one in some]

    bare = ReflectionRow("The Lisa?", "Apple.", "The Lisa is of Apple.", relevance=True)
    [row, other] = label_rows([bare, ReflectionRow("2?", retrieve=False)], Sure())
    assert (row.retrieve, row.relevance, row.support, row.utility) == (True, True, "none", 5)
    assert other == ReflectionRow("2?", retrieve=False)
    assert [one.aspect for one in asked] == ["retrieve", "support", "utility"]
    assert [bool(one.passage) for one in asked] == [False, True, False]


def test_what_a_critic_can_not_tell_is_left_out():
    class Silent:
        def judge(self, some, config=None):
            return [Judged() for _ in some]

    row = ReflectionRow("The Lisa?", "Apple.")
    assert label_rows([row], Silent()) == [row]
