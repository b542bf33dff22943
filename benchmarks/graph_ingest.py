"""Graph ingestion and 2-hop expansion on a real Neo4j, against langchain-neo4j and LlamaIndex.

10,000 nodes and 30,000 relationships in 2,500 graph documents, the same for all, one run: ours
writes besides what the peer does not, the chunks and where each chunk says each thing. Then the
same as one document. A JVM that was just started is several times slower than a server that has
run for a while: before any of it is timed, both put the first 500 documents in, four times over.

The expansions ask the same nodes in turn, so that what else the machine does hits all alike.
LlamaIndex's store needs a driver below 6 and can not be installed beside ours: a statement that
works as its does is sent by our driver. langchain-neo4j has no expansion.

Needs Neo4j 5.26 with APOC, which langchain-neo4j wants (apoc-core exists for 5.26.12):

    python benchmarks/graph_ingest.py
    NEO4J_URI=bolt://... NEO4J_USERNAME=... NEO4J_PASSWORD=... python benchmarks/graph_ingest.py
"""

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import neo4j
from langchain_core.documents import Document
from langchain_neo4j import Neo4jGraph
from langchain_neo4j.graphs import graph_document as peer
from report import finish, print_table

from langchain_graft.graph import (
    EmbeddedGraphStore,
    GraphDocument,
    LocalNeo4j,
    Mention,
    Neo4jGraphStore,
    Node,
    Relationship,
)

NODES, RELATIONSHIPS, DOCUMENTS = 10_000, 30_000, 2_500
LABELS, TYPES = 8, 12
VERSION = "5.26.12"
ASKED = 100
LIMIT = 30
WARM_UP, WARM_UP_TIMES = 500, 4
BAR = 0.1

# LlamaIndex's way, in our words (Neo4jPropertyGraphStore.get_rel_map, llama_index 025dd69): every
# path up to the depth, the relationships of all of them, each once, and then the limit.
LLAMA_INDEX = """
MATCH (start:`__Entity__`) WHERE start.id IN $ids
MATCH path = (start)-[*1..2]-()
WHERE all(step IN relationships(path) WHERE type(step) <> 'MENTIONS')
UNWIND relationships(path) AS step
WITH DISTINCT step
WITH startNode(step) AS a, type(step) AS type, endNode(step) AS b
RETURN a.id AS source, [x IN labels(a) WHERE x <> '__Entity__'][0] AS source_label,
    properties(a) AS source_properties, type, b.id AS target,
    [x IN labels(b) WHERE x <> '__Entity__'][0] AS target_label, properties(b) AS target_properties
LIMIT $limit
"""


def graph() -> list[GraphDocument]:
    """A graph whose degrees are uneven: a few things are spoken of everywhere."""
    chance = random.Random(7)  # noqa: S311 (not a secret)
    nodes = [
        Node(
            id=f"n{n}",
            label=f"Label{n % LABELS}",
            name=f"Name {n}",
            properties={"born": 1900 + n % 100},
        )
        for n in range(NODES)
    ]
    return [_document(number, nodes, chance) for number in range(DOCUMENTS)]


def _document(number: int, nodes: list[Node], chance: random.Random) -> GraphDocument:
    """A passage: things that are new in it, as many that were spoken of, and what they do."""
    id_, own = f"c{number}", NODES // DOCUMENTS
    new = list(range(number * own, (number + 1) * own))
    known = {int(NODES * chance.random() ** 3) for _ in range(20)} - set(new)
    said = [*new, *sorted(known)[:own]]
    mention = Mention(chunk_id=id_, start=0, end=7, quote="Passage")
    keys: dict[tuple[int, str, int], None] = {}
    while len(keys) < RELATIONSHIPS // DOCUMENTS:  # one end is new: no passage says it again
        ends = [chance.choice(new), chance.choice(said)]
        chance.shuffle(ends)
        keys[ends[0], f"TYPE_{chance.randrange(TYPES)}", ends[1]] = None
    source = Document(
        id=id_,
        page_content=f"Passage {number} " + "of some length " * 20,
        metadata={"source_id": f"d{number // 10}", "chunk_index": number % 10},
    )
    return GraphDocument(
        nodes=tuple(replace(nodes[n], mentions=(mention,)) for n in said),
        relationships=tuple(
            Relationship(source=f"n{a}", target=f"n{b}", type=type_, mentions=(mention,))
            for a, type_, b in keys
        ),
        source=source,
    )


def as_one(documents: list[GraphDocument]) -> GraphDocument:
    """All of it as what one passage says."""
    mention = Mention(chunk_id="all", start=0, end=7, quote="Passage")
    nodes = {n.id: n for one in documents for n in one.nodes}
    return GraphDocument(
        nodes=tuple(
            Node(id=n.id, label=n.label, name=n.name, properties=n.properties, mentions=(mention,))
            for n in nodes.values()
        ),
        relationships=tuple(
            Relationship(source=r.source, target=r.target, type=r.type, mentions=(mention,))
            for one in documents
            for r in one.relationships
        ),
        source=Document(id="all", page_content="Passage", metadata={"source_id": "all"}),
    )


def for_peer(documents: list[GraphDocument]) -> list[peer.GraphDocument]:
    """The same graph in langchain-neo4j's classes."""
    found = []
    for one in documents:
        nodes = {
            n.id: peer.Node(id=n.id, type=n.label, properties={"name": n.name, **n.properties})
            for n in one.nodes
        }
        relationships = [
            peer.Relationship(source=nodes[r.source], target=nodes[r.target], type=r.type)
            for r in one.relationships
        ]
        found.append(
            peer.GraphDocument(
                nodes=list(nodes.values()), relationships=relationships, source=one.source
            )
        )
    return found


@contextmanager
def server() -> Iterator[tuple[str, str, str]]:
    """A Neo4j with APOC: the environment's, or one of our own."""
    if uri := os.environ.get("NEO4J_URI"):
        user, password = (os.environ.get(f"NEO4J_{key}", "") for key in ("USERNAME", "PASSWORD"))
        yield uri, user, password
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalNeo4j(folder, version=VERSION, heap="2g", plugins=("apoc",)) as local,
    ):
        yield local.uri, local.user, local.password


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Peers:
    """Both stores on one server, which is emptied between them."""

    def __init__(self, uri: str, user: str, password: str) -> None:
        self.driver = neo4j.GraphDatabase.driver(uri, auth=(user, password) if user else None)
        self.version = self.driver.get_server_info().agent
        self.ours = Neo4jGraphStore(uri, user=user or None, password=password or None)
        self.theirs = Neo4jGraph(uri, username=user, password=password)

    def empty(self) -> None:
        """Take everything out."""
        with self.driver.session() as session:
            session.run(
                "MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 2000 ROWS"
            ).consume()

    def count(self, label: str) -> tuple[int, int]:
        """Nodes of a label, and relationships among them."""
        rows = self.driver.execute_query(
            f"MATCH (n:{label}) OPTIONAL MATCH (n)-[r]->(:{label}) "
            "RETURN count(DISTINCT n) AS nodes, count(r) AS relationships"
        ).records
        return rows[0]["nodes"], rows[0]["relationships"]

    def add_ours(self, documents: list[GraphDocument]) -> float:
        """Seconds of our `add`."""
        self.empty()
        taken = seconds(lambda: self.ours.add(documents))
        assert self.count("Entity") == (NODES, RELATIONSHIPS)
        return taken

    def add_theirs(self, documents: list[peer.GraphDocument]) -> float:
        """Seconds of `add_graph_documents`."""
        self.empty()
        taken = seconds(lambda: self.theirs.add_graph_documents(documents, baseEntityLabel=True))
        assert self.count("`__Entity__`") == (NODES, RELATIONSHIPS)
        return taken

    def ask(self, statement: str, ids: list[str]) -> int:
        """Rows of an expansion's statement."""
        return len(self.driver.execute_query(statement, ids=ids, limit=LIMIT).records)


def warm_up(peers: Peers, documents: list[GraphDocument]) -> None:
    """Both run what is timed later, in small and not timed; constraints are there then."""
    some = documents[:WARM_UP]
    given = for_peer(some)
    for _ in range(WARM_UP_TIMES):
        peers.empty()
        peers.ours.add(some)
        peers.empty()
        peers.theirs.add_graph_documents(given, baseEntityLabel=True)


def ingestion(peers: Peers, documents: list[GraphDocument]) -> dict[str, dict[str, float]]:
    """Seconds of each, for many documents and for one."""
    warm_up(peers, documents)
    figures: dict[str, dict[str, float]] = {}
    for what, given in (("one document", [as_one(documents)]), ("2,500 documents", documents)):
        theirs = peers.add_theirs(for_peer(given))
        figures[what] = {"langchain-neo4j": theirs, "ours": peers.add_ours(given)}
        print(f"{what}: {figures[what]}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedGraphStore(Path(folder) / "graph.sqlite")
        embedded = seconds(lambda: store.add(documents))
        figures["2,500 documents"]["ours, embedded"] = embedded
        store.close()
    return figures


def expansion(peers: Peers, documents: list[GraphDocument]) -> dict[str, float]:
    """Median milliseconds of two hops; the peers' graph is put in beside ours."""
    peers.theirs.add_graph_documents(for_peer(documents), baseEntityLabel=True)
    embedded = EmbeddedGraphStore(None)
    embedded.add(documents)
    chance = random.Random(11)  # noqa: S311
    questions = [[f"n{chance.randrange(NODES)}"] for _ in range(ASKED)]
    asked: dict[str, Callable[[list[str]], object]] = {
        "ours": lambda ids: peers.ours.expand(ids, depth=2, limit=LIMIT),
        "ours, embedded": lambda ids: embedded.expand(ids, depth=2, limit=LIMIT),
        "LlamaIndex's way": lambda ids: peers.ask(LLAMA_INDEX, ids),
    }
    times: dict[str, list[float]] = {name: [] for name in asked}
    for number, ids in enumerate(questions):
        for name, ask in asked.items():
            taken = seconds(partial(ask, ids))
            if number >= ASKED // 10:  # the first ones warm up
                times[name].append(1000 * taken)
    embedded.close()
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    documents = graph()
    with server() as (uri, user, password):
        peers = Peers(uri, user, password)
        taken = ingestion(peers, documents)
        hops = expansion(peers, documents)
        version = peers.version
        peers.ours.close()
        peers.driver.close()
        peers.theirs.close()
    for what, times in taken.items():
        rows = [(name, value, times["ours"] / value) for name, value in times.items()]
        names = ("store", "seconds", "ours / it")
        print_table(f"{NODES} nodes, {RELATIONSHIPS} relationships, {what}", names, rows)
    hop_rows = [(name, value, hops["ours"] / value) for name, value in hops.items()]
    print_table(
        f"Two hops, at most {LIMIT} relationships", ("store", "median ms", "ours / it"), hop_rows
    )
    many = taken["2,500 documents"]
    ratio = many["ours"] / many["langchain-neo4j"]
    print(f"\nbar: at most {BAR}; it is {ratio:.3f}, on {version}")
    finish(
        "graph_ingest",
        {"seconds": taken, "ratio": ratio, "bar": BAR, "expand_ms": hops, "server": version},
        packages=["neo4j", "langchain-neo4j"],
    )


if __name__ == "__main__":
    main()
