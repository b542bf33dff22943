"""The embedded store keeps every promise, and its file is whole whatever happens."""

import pytest

from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.testing import GraphStoreTests


class TestEmbeddedGraphStore(GraphStoreTests):
    @pytest.fixture
    def store(self, tmp_path):
        store = EmbeddedGraphStore(tmp_path / "graph.sqlite")
        yield store
        store.close()
