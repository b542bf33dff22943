import io
import json

import pytest

from langchain_graft import KnowledgeBase
from langchain_graft.cli import main
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

ANSWER = "Apple was founded in April 1976. [1]"


@pytest.fixture(scope="module")
def kb(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agents")
    text = folder / "apple.md"
    text.write_text("# Apple\n\nApple was founded in April 1976.\n", encoding="utf-8")
    kb = KnowledgeBase.create(folder / "kb", embeddings=HashEmbeddings())
    kb.ingest(text)
    yield kb
    kb.close()


@pytest.fixture
def chat(kb, monkeypatch):
    monkeypatch.setattr("langchain_graft.cli.chat_command.open_filled", lambda *_: kb)

    def talk(*given, reply=ANSWER, question="When was Apple founded?"):
        model = ScriptedChatModel(reply=lambda _: reply)
        monkeypatch.setattr("langchain_graft.cli.chat_command.load_model", lambda *_: model)
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{question}\n"))
        return main(["chat", "--kb", str(kb.folder), *given])

    return talk


@pytest.mark.parametrize("agents", ["bm25", "bm25,vector"])
def test_agents_answer_once_with_their_sources(chat, capsys, agents):
    assert chat("--agents", agents) == 0
    told = capsys.readouterr().out
    assert told.count(ANSWER) == 1
    assert "apple.md" in told


def test_events_are_lines_of_json(chat, capsys):
    assert chat("--agents", "bm25", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = dict.fromkeys(event["event"] for event in events)
    assert list(kinds) == ["Retrieved", "Asked", "Piece", "Answered"]
    assert events[-1]["answer"] == ANSWER
    assert events[-1]["citations"][0]["verified"]
    assert "April 1976" in events[-1]["context"][0]["text"]


def test_an_agent_that_is_not_there_is_an_error(chat, capsys):
    assert chat("--agents", "vector,web") == 2
    assert "no agent 'web'; there are vector, bm25" in capsys.readouterr().err


def test_json_is_for_agents(chat, capsys):
    assert chat("--json") == 2
    assert "--agents vector" in capsys.readouterr().err
