"""Compression by a small model and a real embedder."""

import pytest
from langchain_core.documents import Document

from langchain_graft.models import load_embeddings
from langchain_graft.models.transformers import TransformersEngine
from langchain_graft.retrievers import RedundancyFilter, SelfInformationCompressor
from langchain_graft.retrievers.units import without

BAKERY = (
    "The bakery stands beside the church. Its owner, Maria Keller, learned her trade in Vienna. "
    "On warm days people sit outside. The bread is made of rye."
)


@pytest.fixture(scope="module")
def scorer():
    return TransformersEngine.load("smollm2-135m")


@pytest.mark.parametrize(
    ("question", "needed"),
    [
        ("Where did Maria Keller learn her trade?", "Vienna"),
        ("What is the bread made of?", "rye"),
        ("What does the bakery stand beside?", "church"),
    ],
)
@pytest.mark.parametrize("unit", ["sentence", "phrase"])
async def test_what_answers_the_question_stays(scorer, question, needed, unit):
    compressor = SelfInformationCompressor(scorer=scorer, unit=unit, ratio=0.5)
    (found,) = await compressor.acompress_documents([Document(BAKERY)], question)
    assert needed in found.page_content
    compression = found.metadata["compression"]
    assert compression["kept"] < compression["of"]
    assert without(BAKERY, compression["dropped"]) == found.page_content


@pytest.mark.parametrize("measure", ["information", "contrast"])
def test_tokens_that_are_parts_of_a_character(scorer, measure):
    text = "面包店在教堂旁边。店主在维也纳学艺😀，回到了家乡。天气好时人们坐在外面。"
    compressor = SelfInformationCompressor(scorer=scorer, unit="phrase", measure=measure)
    (found,) = compressor.compress_documents([Document(text)], "店主在哪里学艺？")
    assert "warnings" not in found.metadata
    assert 1 <= found.metadata["compression"]["kept"] < found.metadata["compression"]["of"]


def test_near_equal_sentences():
    texts = [
        "The bakery stands beside the old church of Bern. People sit outside.",
        "Beside the old church of Bern stands the bakery. Maria Keller owns it.",
        "The bakery stands beside the old church of Basel.",
    ]
    redundancy = RedundancyFilter(embeddings=load_embeddings("minilm"))
    found = redundancy.compress_documents([Document(text) for text in texts], "")
    assert [document.page_content for document in found] == [
        texts[0],
        "Maria Keller owns it.",
        texts[2],
    ]
