"""Chat models by name; nothing here starts one."""

import pytest
from pydantic import ValidationError

from langchain_graft.errors import ModelError, UnknownModelError
from langchain_graft.models import LlamaCppChatModel, LlamaSettings, load_chat_model
from langchain_graft.models.catalogue import HubFile


@pytest.mark.parametrize(
    "spec",
    ["nonsense", "", "gguf:", "gguf:/no/such/file.gguf", "gguf:/tmp", "minilm", "gguf:minilm"],
)
def test_nothing_goes_by_that_name(spec):
    with pytest.raises(UnknownModelError, match=r"smollm2-135m.*openai:") as unknown:
        load_chat_model(spec)
    assert unknown.value.available


@pytest.mark.parametrize("spec", ["nosuch:model", ":model"])
def test_nothing_is_provided_under_that_name(spec):
    with pytest.raises(UnknownModelError, match=r"':model|nosuch:model"):
        load_chat_model(spec)


def test_waits_for_a_service_are_bounded():
    model = load_chat_model("openai:gpt-4.1-mini", api_key="none", temperature=0.5)
    assert (model.request_timeout, model.max_retries, model.temperature) == (60.0, 2, 0.5)


def test_bounds_can_be_chosen():
    model = load_chat_model("openai:gpt-4.1-mini", api_key="none", timeout_seconds=5, max_retries=0)
    assert (model.request_timeout, model.max_retries) == (5, 0)


def test_a_wrong_setting_is_no_unknown_model():
    with pytest.raises(ValidationError, match="temperature"):
        load_chat_model("openai:gpt-4.1-mini", api_key="none", temperature="hot")


def test_the_key_is_missing(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="OPENAI_API_KEY"):
        load_chat_model("openai:gpt-4.1-mini")


def test_the_providers_package_is_missing():
    with pytest.raises(ModelError, match="langchain-anthropic"):
        load_chat_model("anthropic:claude")


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    return file


def test_a_file_is_a_model_that_is_not_started_yet(weights):
    model = load_chat_model(f"gguf:{weights}", context_tokens=512, max_tokens=7, timeout_seconds=3)
    assert isinstance(model, LlamaCppChatModel)
    assert model.server.settings == LlamaSettings(context_tokens=512)
    assert model.server.pid is None
    assert (model.max_tokens, model.temperature, model.request_timeout) == (7, 0.0, 3)


def test_a_catalogue_model_goes_by_its_name_alone(sources, list_model):
    sources.files["/team/tiny/resolve/main/tiny.gguf"] = b"GGUF"
    listed = list_model(tiny_gguf=(b"GGUF", HubFile(repo="team/tiny", path="tiny.gguf")))
    for spec in ("tiny", "gguf:tiny"):
        model = load_chat_model(spec)
        assert model.server.model.read_bytes() == b"GGUF"
        assert model.weights_digest == listed.digest


def test_one_file_and_settings_have_one_server(weights):
    same = [load_chat_model(f"gguf:{weights}", temperature=t).server for t in (0.0, 1.0)]
    other = load_chat_model(f"gguf:{weights}", parallel=2).server
    assert same[0] is same[1]
    assert other is not same[0]
    assert other.api_key != same[0].api_key


def test_other_weights_have_other_cache_keys(weights):
    before = load_chat_model(f"gguf:{weights}")._get_llm_string()
    assert load_chat_model(f"gguf:{weights}")._get_llm_string() == before
    weights.write_bytes(b"GGUF2")
    assert load_chat_model(f"gguf:{weights}")._get_llm_string() != before


@pytest.mark.parametrize("settings", [{"context_tokens": 0}, {"parallel": -1}])
def test_a_wrong_server_setting_is_refused(weights, settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be 1 or more"):
        load_chat_model(f"gguf:{weights}", **settings)
