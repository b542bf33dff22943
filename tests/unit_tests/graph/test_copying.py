"""One store into another, and on from where it was."""

import pytest

from langchain_graft.errors import GraphError
from langchain_graft.graph.copying import copy_graph
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.testing_graph_store import said

DOCUMENTS = [
    said(f"A then B{n}", chunk_id=f"d{n}#0", triples=[("A", "T", f"B{n}")]) for n in range(25)
]


class Breaking(EmbeddedGraphStore):
    """Takes two batches, no more."""

    batches = 2

    def add(self, graph_documents):
        if not self.batches:
            msg = "The disk is full"
            raise GraphError(msg)
        self.batches -= 1
        super().add(graph_documents)


@pytest.fixture
def source():
    store = EmbeddedGraphStore(None)
    store.add(DOCUMENTS)
    yield store
    store.close()


def everything(store):
    return store.graph_documents(store.chunk_ids(limit=1000)), store.schema()


def test_a_copy_is_the_same_graph(source):
    target, seen = EmbeddedGraphStore(None), []
    assert copy_graph(source, target, batch=10, on_progress=seen.append) == 25
    assert everything(target) == everything(source)
    assert seen == [10, 20, 25]
    assert copy_graph(source, target) == 0
    target.close()


def test_a_copy_that_broke_goes_on_where_it_was(source):
    target = Breaking(None)
    with pytest.raises(GraphError, match="full"):
        copy_graph(source, target, batch=10)
    assert len(target.chunk_ids(limit=100)) == 20
    target.batches = 9
    assert copy_graph(source, target, batch=10) == 5
    assert everything(target) == everything(source)
    target.close()


def test_what_has_changed_is_copied_again(source):
    target = EmbeddedGraphStore(None)
    copy_graph(source, target)
    source.add([said("A left", chunk_id="d3#0", triples=[("A", "LEFT", "B3")])])
    assert copy_graph(source, target) == 1
    assert everything(target) == everything(source)
    target.close()
