"""The order of documents in a prompt, and several compressors as one."""

from collections import deque

import pytest
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from pydantic import ValidationError

from langchain_graft.retrievers import CompressorPipeline, lost_in_the_middle_order


def numbered(count):
    return [Document(str(n)) for n in range(1, count + 1)]


def told(documents):
    return " ".join(document.page_content for document in documents)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, ""), (1, "1"), (2, "1 2"), (3, "1 3 2"), (5, "1 3 5 4 2"), (6, "1 3 5 6 4 2")],
)
def test_the_worst_stands_in_the_middle(count, expected):
    assert told(lost_in_the_middle_order(numbered(count))) == expected


@pytest.mark.parametrize("count", range(51))
def test_whatever_the_number_the_best_are_outside(count):
    documents = numbered(count)
    ordered = deque(lost_in_the_middle_order(documents))
    assert documents == numbered(count)
    assert [ordered.pop() if n % 2 else ordered.popleft() for n in range(count)] == documents


class First(BaseDocumentCompressor):
    """Keeps some documents from the beginning."""

    count: int

    def compress_documents(self, documents, query, callbacks=None):
        return [Document(f"{d.page_content}{query}") for d in documents[: self.count]]


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_the_first_gives_the_second_gets(is_async):
    pipeline = CompressorPipeline(compressors=[First(count=3), First(count=2)])
    documents = numbered(5)
    if is_async:
        found = await pipeline.acompress_documents(documents, "?")
    else:
        found = pipeline.compress_documents(documents, "?")
    assert told(found) == "1?? 2??"


def test_a_pipeline_of_nothing_is_refused():
    with pytest.raises(ValidationError):
        CompressorPipeline(compressors=[])
