"""The life of a server whose model is none: it says why, and does not try for ever."""

import pytest

from langchain_graft.errors import ModelServerError
from langchain_graft.models.llama_server import MOST_STARTS, LlamaServer, LlamaSettings


@pytest.fixture
def server(tmp_path):
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"this is no model")
    server = LlamaServer(file, LlamaSettings(context_tokens=64))
    yield server
    server.stop()


def test_what_is_no_model_is_refused_until_it_is_given_up(server):
    for _ in range(MOST_STARTS):
        with pytest.raises(ModelServerError, match=r"can not serve .*tiny\.gguf"):
            server.ensure_running()
        assert server.pid is None
    with pytest.raises(
        ModelServerError, match=r"(?s)died 3 times within a minute.*last words:\n\S"
    ):
        server.ensure_running()


def test_modules_of_the_current_folder_are_not_run(server, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    (tmp_path / "json.py").write_text(f"open({str(ran)!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelServerError, match="can not serve"):
        server.ensure_running()
    assert not ran.exists()


def test_it_is_stopped_though_it_never_ran(server):
    server.stop()
    assert server.pid is None
    assert server.last_words() == ""
