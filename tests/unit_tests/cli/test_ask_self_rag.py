"""What `graft ask --chain self-rag` shows of its decisions."""

from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_graft.chains import SelfRagSettings, create_self_rag_chain
from langchain_graft.cli.ask_command import output_as_json, print_answer
from langchain_graft.cli.options import CHAINS
from langchain_graft.testing import ScriptedChatModel


def replies(prompt):
    if "666.66" in prompt and "Does the passage say" in prompt:
        return "no"
    if "Reply yes or no" in prompt:
        return "no" if "2 + 2" in prompt else "yes"
    if "Reply fully" in prompt or "from 1 to 5" in prompt:
        return "no" if "666.66" in prompt else "fully" if "Reply fully" in prompt else "5"
    return "It cost 666.66 dollars." if "666.66" in prompt else "Steve Jobs founded it.\x1b[31m"


def passages(question):
    texts = ["It was sold at 666.66 dollars.", "Steve Jobs founded Apple."]
    return [Document(id=str(n), page_content=text) for n, text in enumerate(texts)]


def asked(capsys, question, **settings):
    chain = create_self_rag_chain(
        ScriptedChatModel(reply=replies),
        RunnableLambda(passages),
        settings=SelfRagSettings(**settings),
    )
    output = print_answer(chain, question)
    return output, " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_it_is_a_chain_that_can_be_asked_for():
    assert "self-rag" in CHAINS


def test_a_table_tells_what_was_decided_of_each_passage(capsys):
    output, shown = asked(capsys, "Who founded Apple?")
    assert "Segment 1: looked up; p(retrieve) 0.90 > 0.20" in shown
    assert "[1] 0.10" in shown
    assert "* [2] 0.90" in shown
    assert shown.endswith("[2]")
    assert "\x1b" not in shown
    assert output_as_json(output)["segments"][0]["candidates"][1]["chosen"]


def test_it_tells_that_nothing_was_looked_up(capsys):
    _, shown = asked(capsys, "What is 2 + 2?")
    assert "Segment 1: nothing looked up; p(retrieve) 0.10 <= 0.20" in shown
    assert "* none - -" in shown


def test_it_tells_what_the_budget_did_not_allow(capsys):
    _, shown = asked(capsys, "Who founded Apple?", max_calls=1)
    assert "Segment 1: looked up; no critic was asked" in shown
