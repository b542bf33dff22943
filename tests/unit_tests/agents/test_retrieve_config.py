from dataclasses import FrozenInstanceError

import pytest

from langchain_graft.agents import RetrieveConfig, create_retrieve_chat
from langchain_graft.agents.autogen_config import KEYS
from langchain_graft.testing import ScriptedChatModel

# As they stand in AutoGen 0.2.40's documents, but for what is computed there.
NOTEBOOK_CODE = {  # notebook/agentchat_RetrieveChat.ipynb
    "task": "code",
    "docs_path": [
        "https://raw.githubusercontent.com/microsoft/FLAML/main/website/docs/Examples/Integrate%20-%20Spark.md",
        "https://raw.githubusercontent.com/microsoft/FLAML/main/website/docs/Research.md",
    ],
    "chunk_token_size": 2000,
    "model": "gpt-35-turbo-16k",
    "vector_db": "chroma",
    "overwrite": False,
    "get_or_create": True,
}
TOPIC = {  # website/docs/topics/retrieval_augmentation.md
    "task": "code",
    "docs_path": [
        "https://raw.githubusercontent.com/microsoft/FLAML/main/website/docs/Examples/Integrate%20-%20Spark.md",
        "https://raw.githubusercontent.com/microsoft/FLAML/main/website/docs/Research.md",
        "../website/docs",
    ],
    "custom_text_types": ["mdx"],
    "chunk_token_size": 2000,
    "model": "gpt-4-1106-preview",
    "client": object(),
    "embedding_model": "all-mpnet-base-v2",
    "get_or_create": True,
}
NOTEBOOK_QA = {  # the same notebook, example 6 and 7
    "task": "qa",
    "docs_path": "https://huggingface.co/datasets/thinkall/2WikiMultihopQA/resolve/main/corpus.txt",
    "chunk_token_size": 2000,
    "model": "gpt-35-turbo-16k",
    "client": object(),
    "collection_name": "2wikimultihopqa",
    "chunk_mode": "one_line",
    "embedding_model": "all-MiniLM-L6-v2",
    "customized_prompt": "Context: {input_context} Question: {input_question} {input_sources} {x}",
    "customized_answer_prefix": "the answer is",
}


@pytest.mark.parametrize("given", [NOTEBOOK_CODE, TOPIC, NOTEBOOK_QA])
def test_autogen_s_examples_are_taken_unchanged(given, make_retriever):
    before = dict(given)
    config = RetrieveConfig.from_autogen(given)
    assert given == before
    assert config.task == given["task"]
    assert set(config.told) == set(given)
    assert all(config.told.values())
    create_retrieve_chat(ScriptedChatModel(), make_retriever(), config=given)


def test_what_the_keys_come_to():
    config = RetrieveConfig.from_autogen(NOTEBOOK_QA)
    assert config.context_tokens == 12800
    assert config.answer_prefix == "the answer is"
    assert config.prompt == NOTEBOOK_QA["customized_prompt"]
    assert config.ingestion == {
        "docs_path": [NOTEBOOK_QA["docs_path"]],
        "chunk_token_size": 2000,
        "chunk_mode": "one_line",
        "embedding_model": "all-MiniLM-L6-v2",
    }
    assert config.told["client"].startswith("without effect")


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("gpt-4-32k", 25600), ("gpt-35-turbo-16k", 12800), ("gpt-4", 6400), ("llama", 3200)],
)
def test_the_model_s_window_is_autogen_s(model, tokens):
    assert RetrieveConfig.from_autogen({"model": model}).context_tokens == tokens


def test_a_given_size_goes_before_the_model_s():
    assert RetrieveConfig.from_autogen({"context_max_tokens": 100}).context_tokens == 100


def test_autogen_s_counter_is_told_the_model():
    config = RetrieveConfig.from_autogen(
        {"model": "m", "custom_token_count_function": lambda text, model: len(text + model)}
    )
    assert config.count_tokens("abc") == 4


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"docs_paths": []}, "no key 'docs_paths'; it has"),
        ({"distance_threshold": 0.5}, "Give a retriever that has a threshold itself"),
        ({"vector_db": "faiss"}, "vector_db must be one of 'chroma'"),
        ({"task": "chat"}, "task must be one of 'default', 'qa', 'code', not 'chat'"),
        ({"customized_prompt": "Hello"}, "has to contain {input_question}"),
    ],
)
def test_what_can_not_be_done_is_refused(given, says):
    with pytest.raises(ValueError, match=says):
        RetrieveConfig.from_autogen(given)


def test_every_key_of_autogen_is_told_of():
    values = {
        **dict.fromkeys(KEYS),
        "task": "qa",
        "update_context": True,
        "distance_threshold": -1,
        "context_max_tokens": 1,
    }
    assert set(RetrieveConfig.from_autogen(values).told) == KEYS


@pytest.mark.parametrize("field", ["n_results", "context_tokens", "max_rounds"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_numbers_are_checked(field, value):
    with pytest.raises(ValueError, match=f"{field} must be a whole number"):
        RetrieveConfig(**{field: value})


def test_settings_are_not_changed():
    config = RetrieveConfig()
    with pytest.raises(FrozenInstanceError):
        config.task = "qa"
    assert config.but(task="qa").task == "qa"


def test_a_prompt_of_ones_own_is_filled_in_one_pass(make_retriever):
    model = ScriptedChatModel(script=["Yes."])
    retriever = make_retriever(text="Text {n} with {{input_question}} in it.")
    config = {"customized_prompt": "{a} {input_question}|{input_context}|{input_sources}"}
    create_retrieve_chat(model, retriever, config=config).invoke({"input": "Really?"})
    [prompt] = model.asked[0]
    assert prompt.text.startswith("{a} Really?|[1] Text 1 with {input_question} in it.")
    assert "|d1, d2" in prompt.text
