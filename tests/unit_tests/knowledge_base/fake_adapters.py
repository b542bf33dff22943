"""Adapters without weights: a version's vectors are the base's, turned by as many places."""

from contextlib import nullcontext

from langchain_graft.errors import AdapterNotFoundError
from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
from langchain_graft.finetune_bridge.adapters.ref import AdapterRef, is_version, split_reference
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings


def manifest(kind="embeddings", side="both", base="hash", base_digest="hash-64", version=1):
    return AdapterManifest(
        kind=kind,
        side=side,
        base=base,
        base_digest=base_digest,
        files={"adapter_model.safetensors": str(version)},
    )


class FakeStore:
    """`near@1`, `near@2` turn all vectors; `ask@1` the queries'; `legal@1` is a chat model's."""

    def __init__(self):
        self.manifests = {
            AdapterRef("near", 1): manifest(version=1),
            AdapterRef("near", 2): manifest(version=2),
            AdapterRef("ask", 1): manifest("query-map", "query"),
            AdapterRef("legal", 1): manifest("generator", base="hf:tiny", base_digest="tiny"),
            AdapterRef("other", 1): manifest(base="hash-32", base_digest="hash-32"),
        }
        self.current = {}

    def manifest(self, ref):
        try:
            return self.manifests[ref]
        except KeyError:
            raise AdapterNotFoundError(str(ref), available=map(str, self.manifests)) from None

    def resolve(self, text):
        if text == "base":
            return None
        name, tag = split_reference(text)
        if is_version(tag):
            return AdapterRef(name, int(tag))
        if name not in self.current:
            raise AdapterNotFoundError(text, available=map(str, self.manifests))
        return self.current[name]

    def promote(self, ref):
        self.current[ref.name] = ref

    def lease(self, ref):
        self.manifest(ref)
        return nullcontext()


class TurnedEmbeddings(HashEmbeddings):
    """In place of `AdapterEmbeddings`."""

    def __init__(self, base, store, *, adapter):
        ref = AdapterRef.parse(adapter)
        made_for = store.manifest(ref)
        assert made_for.base_digest == base.digest
        super().__init__(base.dimension)
        self.turn = ref.version
        self.turns_documents = made_for.side == "both"
        self.digest = made_for.digest if self.turns_documents else base.digest

    def close(self):
        """Lets its adapter go."""

    def embed_documents(self, texts):
        turn = self.embed_query if self.turns_documents else super().embed_query
        return [turn(text) for text in texts]

    def embed_query(self, text):
        vector = super().embed_query(text)
        return vector[self.turn :] + vector[: self.turn]


class NoGenerators:
    """Chat models without weights: none of them has anything to say against an adapter."""

    def probe(self, ref, made_for):
        assert made_for.kind == "generator", ref


def patch(store, set_attribute):
    """Knowledge bases have these adapters."""
    set_attribute(KnowledgeBase, "adapters", property(lambda _: store))
    set_attribute(KnowledgeBase, "_own_generators", lambda _: NoGenerators())
    from langchain_graft.finetune_bridge.serving import embeddings  # noqa: PLC0415

    set_attribute(embeddings, "AdapterEmbeddings", TurnedEmbeddings)


def check(kb):
    """Everything that serves is of one release; the ids of what is in its indexes."""
    with kb._live.current("vector") as live:
        index = live.vector
        release, embeddings = kb.release, kb.embeddings
        stamp = index._collection.metadata["graft_embedder"]
        assert stamp == embeddings.digest == index.embeddings.digest == release.embeddings_digest
        found = index._collection.get(include=["documents", "embeddings"])
        texts = list(found["documents"] or [])
        for vector, expected in zip(
            found["embeddings"], embeddings.embed_documents(texts), strict=True
        ):
            assert max(abs(a - b) for a, b in zip(vector, expected, strict=True)) < 1e-5
        assert live.bm25.ids() == set(found["ids"])
        return set(found["ids"])
