"""What every `GraphStore` promises, as a test suite: subclass it and give it a store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document

from langchain_graft.errors import GraphError
from langchain_graft.graph.store import GraphStore
from langchain_graft.graph.types import GraphDocument, Mention, Node, Relationship, node_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from langchain_graft.graph.types import Value

STRANGE = (
    "`) DETACH DELETE n //",
    "a\\u0060b",
    "'; DROP TABLE nodes; --",
    '"quoted" \\ "twice"',
    "WORKS FOR",
    "$(x) {y: 1}",
    "人物",
    "Entity",
    "Person]->() //",
)
HUB = 5000


def said(text: str, *, chunk_id: str, triples: Sequence[tuple[str, str, str]]) -> GraphDocument:
    """A graph document of persons: every name of the triples that is in the text has its place."""
    names = list(dict.fromkeys(name for a, _, b in triples for name in (a, b)))
    nodes = tuple(_person(name, _mentions(text, name, chunk_id)) for name in names)
    relationships = tuple(
        Relationship(
            source=node_id("Person", a),
            target=node_id("Person", b),
            type=type_,
            mentions=(Mention(chunk_id=chunk_id, start=0, end=len(text), quote=text),),
        )
        for a, type_, b in triples
    )
    source_id, _, index = chunk_id.partition("#")
    metadata = {"source_id": source_id, "chunk_index": int(index or 0)}
    source = Document(id=chunk_id, page_content=text, metadata=metadata)
    return GraphDocument(nodes=nodes, relationships=relationships, source=source)


class GraphStoreTests:
    """The promises of `GraphStore`: a subclass has a fixture `store`, empty, with no embeddings.

    Example:
        >>> class TestMyStore(GraphStoreTests):
        ...     @pytest.fixture
        ...     def store(self, tmp_path):
        ...         store = MyGraphStore(tmp_path / "graph")
        ...         yield store
        ...         store.close()
    """

    @pytest.fixture(params=["sync", "async"])
    def ask(
        self, request: pytest.FixtureRequest, store: GraphStore
    ) -> Callable[..., Awaitable[Any]]:
        """Calls a method of the store by name, or its async twin."""

        async def ask(name: str, *args: Any, **kwargs: Any) -> Any:
            if request.param == "sync":
                return getattr(store, name)(*args, **kwargs)
            return await getattr(store, f"a{name}")(*args, **kwargs)

        return ask

    def test_it_is_a_graph_store(self, store: GraphStore) -> None:
        assert isinstance(store, GraphStore)

    async def test_an_empty_graph_is_empty(self, ask: Any) -> None:
        await ask("add", [])
        await ask("remove", [])
        assert await ask("find_entities", "Ann") == []
        assert await ask("find_entities", "?!") == []
        assert await ask("chunks", ["c"]) == []
        found = await ask("expand", ["x"])
        assert (found.nodes, found.relationships, found.truncated) == ((), (), False)
        assert (await ask("schema", refresh=True)).nodes == ()

    async def test_what_was_said_comes_back_with_its_places(self, ask: Any) -> None:
        text = "Ann knows Bob"
        document = said(text, chunk_id="d#3", triples=[("Ann", "KNOWS", "Bob")])
        await ask("add", [document])
        found = await ask("expand", [node_id("Person", "Ann")])
        assert {node.name: node.mentions for node in found.nodes} == {
            "Ann": (Mention(chunk_id="d#3", start=0, end=3, quote="Ann"),),
            "Bob": (Mention(chunk_id="d#3", start=10, end=13, quote="Bob"),),
        }
        assert found.nodes[0].name == "Ann"
        assert found.relationships == document.relationships
        assert await ask("chunks", ["?", "d#3", "d#3"]) == [document.source]

    async def test_properties_of_every_kind_come_back(self, ask: Any) -> None:
        properties: dict[str, Value] = {
            "text": "a 'b' `c` \"d\" \\ \n 苹果 😀",
            "whole": -(2**63),
            "real": 2.0,
            "yes": True,
            "texts": ["x", "y"],
            "numbers": [1, 2],
            "odd `key` }) //": "v",
            "empty": "",
        }
        ann = Node(id="a", label="Person", name="Ann", properties=properties)
        bob = Node(id="b", label="Person", name="Bob")
        knows = Relationship(source="a", target="b", type="KNOWS", properties=properties)
        await ask("add", [_document("c", [ann, bob], [knows])])
        found = await ask("expand", ["a"])
        assert dict(found.nodes[0].properties) == properties
        assert dict(found.relationships[0].properties) == properties
        kinds = {key: type(value) for key, value in found.nodes[0].properties.items()}
        assert kinds == {key: type(value) for key, value in properties.items()}

    async def test_metadata_of_a_chunk_comes_back(self, ask: Any) -> None:
        metadata = {
            "source_id": "d",
            "id": "not its id",
            "text": "not its text",
            "nested": {"page": [1, None]},
            "none": None,
            "名": "值",
        }
        chunk = Document(id="c", page_content="苹果", metadata=metadata)
        await ask("add", [GraphDocument(nodes=(), relationships=(), source=chunk)])
        assert await ask("chunks", ["c"]) == [chunk]

    @pytest.mark.parametrize("name", STRANGE)
    async def test_names_labels_and_types_are_only_words(self, ask: Any, name: str) -> None:
        one = Node(id=f"{name}1", label=name, name=name, properties={"aliases": [name]})
        two = Node(id=f"{name}2", label="Other", name="two")
        between = Relationship(source=one.id, target=two.id, type=name)
        await ask("add", [_document(name, [one, two], [between])])
        found = await ask("expand", [one.id])
        assert found.nodes[0] == one
        assert found.relationships == (between,)
        schema = await ask("schema", refresh=True)
        assert schema.relationship(name).endpoints == ((name, "Other"),)
        assert schema.node(name).count == 1
        assert [x.node.id for x in await ask("find_entities", name, label=name)] == [one.id]
        await ask("remove", [name])
        assert (await ask("schema", refresh=True)).nodes == ()

    async def test_names_are_found_in_questions(self, ask: Any) -> None:
        names = ["Steve Jobs", "Steve Wozniak", "苹果公司", "苹果汁", "The Terminal", "Zoë"]
        await ask("add", [_document("c", [_person(name) for name in names])])

        async def best(text: str) -> str:
            return str((await ask("find_entities", text, k=1))[0].node.name)

        assert await best("Where did Steve Jobs grow up?") == "Steve Jobs"
        assert await best("steve  JOBS") == "Steve Jobs"
        assert await best("wozniak") == "Steve Wozniak"
        assert await best("wozniack") == "Steve Wozniak"
        assert await best("苹果公司是谁创立的?") == "苹果公司"
        assert await best("who is in the terminal") == "The Terminal"
        assert await best("ZOE") == "Zoë"
        assert (await ask("find_entities", "Steve Jobs"))[0].score == 1
        assert await ask("find_entities", "Nobody Knows") == []
        assert len(await ask("find_entities", "Steve", k=1)) == 1

    async def test_names_are_found_in_both_scripts(self, ask: Any) -> None:
        await ask("add", [_document("c", [_person("喬布斯"), _person("陈丽")])])
        for asked, name in (("乔布斯", "喬布斯"), ("陳麗", "陈丽")):
            found = await ask("find_entities", asked)
            assert [(one.node.name, one.score) for one in found] == [(name, 1)]

    async def test_aliases_are_names(self, ask: Any) -> None:
        big = Node(id="i", label="Company", name="IBM", properties={"aliases": ["Big Blue"]})
        again = Node(id="i", label="Company", name="IBM", properties={"aliases": ["国际商业机器"]})
        await ask("add", [_document("c", [big])])
        await ask("add", [_document("d", [again])])
        for text in ("Big Blue", "国际商业机器", "ibm"):
            found = await ask("find_entities", text)
            assert [(one.node.id, one.score) for one in found] == [("i", 1)]
        assert found[0].node.properties["aliases"] == ["Big Blue", "国际商业机器"]

    async def test_homonyms_stay_apart(self, ask: Any) -> None:
        fruit, company = (
            Node(id=node_id(label, "Apple"), label=label, name="Apple")
            for label in ("Fruit", "Company")
        )
        await ask("add", [_document("c", [fruit, company])])
        assert {one.node.label for one in await ask("find_entities", "apple")} == {
            "Fruit",
            "Company",
        }
        found = await ask("find_entities", "apple", label="Company")
        assert [one.node for one in found] == [company]
        assert await ask("find_entities", "apple", label="Nothing") == []

    async def test_it_goes_both_ways_and_no_further_than_asked(self, ask: Any) -> None:
        chain = [("A", "T", "B"), ("C", "T", "B"), ("C", "T", "D"), ("D", "T", "E")]
        await ask("add", [said("", chunk_id="c", triples=chain)])
        start = [node_id("Person", "A")]
        reached = {}
        for depth in range(5):
            found = await ask("expand", start, depth=depth)
            reached[depth] = "".join(sorted(node.name for node in found.nodes))
            assert len(found.relationships) == depth
            assert not found.truncated
        assert reached == {0: "A", 1: "AB", 2: "ABC", 3: "ABCD", 4: "ABCDE"}

    async def test_cycles_and_self_loops_come_once(self, ask: Any) -> None:
        triples = [("A", "T", "B"), ("B", "T", "C"), ("C", "T", "A"), ("A", "T", "A")]
        triples += [("B", "T", "A"), ("A", "U", "B")]
        await ask("add", [said("", chunk_id="c", triples=triples)])
        found = await ask("expand", [node_id("Person", "A")], depth=10)
        assert sorted(one.key for one in found.relationships) == sorted(
            (node_id("Person", a), type_, node_id("Person", b)) for a, type_, b in triples
        )
        assert len(found.nodes) == 3

    async def test_the_nearest_stay_under_the_limit_in_the_same_order(self, ask: Any) -> None:
        near = [("Hub", "T", f"n{n:04}") for n in range(HUB)]
        far = [(f"n{n:04}", "T", f"m{n:04}") for n in range(0, HUB, 10)]
        await ask("add", [said("", chunk_id="c", triples=[*near, *far])])
        hub = node_id("Person", "Hub")
        found = await ask("expand", [hub], limit=300)
        assert found.truncated
        expected = sorted((hub, "T", node_id("Person", b)) for _, _, b in near)[:300]
        assert [one.key for one in found.relationships] == expected
        assert len(found.nodes) == 301
        across = await ask("expand", [node_id("Person", "m0000")], depth=3, limit=10)
        assert across.truncated
        keys = [one.key for one in across.relationships]
        assert keys[:2] == [
            (node_id("Person", "n0000"), "T", node_id("Person", "m0000")),
            (hub, "T", node_id("Person", "n0000")),
        ]
        assert len(keys) == 10
        none = await ask("expand", [hub], limit=0)
        assert (len(none.nodes), none.relationships, none.truncated) == (1, (), True)
        ends = {node.id for node in across.nodes}
        assert all({one.source, one.target} <= ends for one in across.relationships)

    async def test_the_limit_itself_is_no_truncation(self, ask: Any) -> None:
        await ask("add", [said("", chunk_id="c", triples=[("A", "T", "B"), ("B", "T", "C")])])
        start = [node_id("Person", "A"), "unknown", node_id("Person", "A")]
        found = await ask("expand", start, limit=2)
        assert (len(found.relationships), found.truncated) == (2, False)
        found = await ask("expand", start, limit=1)
        assert (len(found.relationships), found.truncated) == (1, True)

    async def test_adding_again_changes_nothing(self, ask: Any) -> None:
        document = said("A B", chunk_id="c", triples=[("A", "T", "B")])
        await ask("add", [document])
        before = await ask("expand", [node_id("Person", "A")])
        await ask("add", [document])
        await ask("add", [document, document])
        assert await ask("expand", [node_id("Person", "A")]) == before

    async def test_what_a_chunk_said_before_is_replaced(self, ask: Any) -> None:
        await ask("add", [said("A B", chunk_id="c", triples=[("A", "T", "B")])])
        await ask("add", [said("A C", chunk_id="c", triples=[("A", "U", "C")])])
        found = await ask("expand", [node_id("Person", "A")])
        assert sorted(node.name for node in found.nodes) == ["A", "C"]
        assert [one.type for one in found.relationships] == ["U"]
        assert found.nodes[0].mentions == (Mention(chunk_id="c", start=0, end=1, quote="A"),)
        assert await ask("find_entities", "B") == []
        assert [one.page_content for one in await ask("chunks", ["c"])] == ["A C"]

    async def test_what_two_chunks_say_has_both_places(self, ask: Any) -> None:
        one = said("A B", chunk_id="d#0", triples=[("A", "T", "B")])
        two = said("then A and B", chunk_id="d#1", triples=[("A", "T", "B")])
        await ask("add", [one])
        await ask("add", [two])
        found = await ask("expand", [node_id("Person", "A")])
        assert [m.chunk_id for m in found.nodes[0].mentions] == ["d#0", "d#1"]
        assert [m.quote for m in found.relationships[0].mentions] == ["A B", "then A and B"]

    async def test_only_what_nobody_else_says_is_removed(self, ask: Any) -> None:
        await ask("add", [said("A B", chunk_id="one#0", triples=[("A", "T", "B")])])
        both = [("A", "T", "B"), ("B", "T", "C"), ("D", "T", "E")]
        await ask("add", [said("A B C", chunk_id="two#0", triples=both)])
        await ask("remove", ["two", "unknown"])
        found = await ask("expand", [node_id("Person", n) for n in "ABCDE"])
        assert sorted(node.name for node in found.nodes) == ["A", "B"]
        assert [m.chunk_id for m in found.relationships[0].mentions] == ["one#0"]
        assert {m.chunk_id for node in found.nodes for m in node.mentions} == {"one#0"}
        assert await ask("chunks", ["two#0"]) == []
        await ask("remove", ["one"])
        assert (await ask("schema", refresh=True)).nodes == ()

    async def test_a_relationship_needs_no_list_of_nodes_that_are_there(self, ask: Any) -> None:
        a, b = _person("A"), _person("B")
        between = Relationship(source=a.id, target=b.id, type="T")
        await ask("add", [_document("one", [a, b])])
        await ask("add", [_document("two", [], [between])])
        await ask("remove", ["one"])
        found = await ask("expand", [a.id])
        assert {node.id for node in found.nodes} == {a.id, b.id}
        assert found.relationships == (between,)

    async def test_all_documents_or_none(self, ask: Any) -> None:
        good = said("A", chunk_id="good", triples=[("A", "T", "B")])
        lost = Relationship(source=node_id("Person", "A"), target="nowhere", type="T")
        with pytest.raises(GraphError, match="nowhere"):
            await ask("add", [good, _document("bad", [], [lost])])
        wrong = [
            _document("bad", [Node(id="x", label="", name="x")]),
            _document("bad", [Node(id="x", label="X\0", name="x")]),
            _document("bad", [Node(id="", label="X", name="x")]),
            _document("bad", [Node(id="x", label="X", name="x", properties={"id": "y"})]),
            _document("bad", [Node(id="x", label="X", name="x", properties={"p": {}})]),  # type: ignore[dict-item]
            _document("bad", [Node(id="x", label="X", name="x", properties={"p": [1, "a"]})]),  # type: ignore[dict-item]
            _document("bad", [Node(id="x", label="X", name="x", properties={"p": 2**63})]),
            GraphDocument(nodes=(), relationships=(), source=Document(page_content="no id")),
            _document("bad", [_person("A", [Mention(chunk_id="other", start=0, end=1, quote="")])]),
        ]
        for one in wrong:
            with pytest.raises(ValueError, match=r"\w"):
                await ask("add", [good, one])
        assert (await ask("schema", refresh=True)).nodes == ()
        assert await ask("chunks", ["good", "bad"]) == []

    async def test_the_schema_says_what_there_is(self, ask: Any) -> None:
        people = [
            Node(id=f"p{n}", label="Person", name=f"P{n}", properties={"born": 1900 + n})
            for n in range(20)
        ]
        film = Node(id="f", label="Film", name="F", properties={"kind": "drama"})
        other = Node(id="g", label="Film", name="G", properties={"kind": "drama"})
        acted = [
            Relationship(source=one.id, target="f", type="ACTED_IN", properties={"role": "x"})
            for one in people
        ]
        seen = Relationship(source="f", target="g", type="CITES")
        await ask("add", [_document("c", [*people, film, other], [*acted, seen])])
        schema = await ask("schema", refresh=True)
        assert [(one.label, one.count) for one in schema.nodes] == [("Person", 20), ("Film", 2)]
        assert [one.type for one in schema.relationships] == ["ACTED_IN", "CITES"]
        assert schema.relationship("ACTED_IN").endpoints == (("Person", "Film"),)
        assert schema.relationship("ACTED_IN").property_names == ("role",)
        assert schema.relationship("ACTED_IN").count == 20
        assert schema.node("Person").property_names == ("name", "born")
        name, born = schema.node("Person").properties
        assert (name.type, born.type, name.unique, born.values) == ("STRING", "INTEGER", True, ())
        kind = schema.node("Film").properties[1]
        assert (kind.values, kind.unique) == (("drama",), False)

    async def test_the_schema_is_new_after_a_change(self, ask: Any) -> None:
        assert (await ask("schema")).nodes == ()
        await ask("add", [_document("c", [_person("A")])])
        assert (await ask("schema")).node("Person").count == 1
        await ask("remove", ["c"])
        assert (await ask("schema")).nodes == ()

    async def test_wrong_arguments_are_refused(self, ask: Any) -> None:
        for wrong in ({}, {"text": "a", "k": 0}, {"vector": [1.0]}):
            with pytest.raises(ValueError, match=r"\w"):
                await ask("find_entities", **wrong)
        for limits in ({"depth": -1}, {"depth": 11}, {"limit": -1}):
            with pytest.raises(ValueError, match=r"\w"):
                await ask("expand", ["a"], **limits)

    def test_threads_add_and_read_at_once(self, store: GraphStore) -> None:
        documents = [
            said(f"A B{n}", chunk_id=f"d{n}", triples=[("A", "T", f"B{n}")]) for n in range(24)
        ]
        start = [node_id("Person", "A")]

        def work(document: GraphDocument) -> int:
            store.add([document])
            found = store.expand(start)
            assert document.relationships[0] in found.relationships
            return len(found.nodes)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, documents))
        found = store.expand(start)
        assert len(found.relationships) == 24
        assert len(found.nodes[0].mentions) == 24


def _person(name: str, mentions: Sequence[Mention] = ()) -> Node:
    return Node(id=node_id("Person", name), label="Person", name=name, mentions=tuple(mentions))


def _mentions(text: str, name: str, chunk_id: str) -> list[Mention]:
    start = text.find(name)
    end = start + len(name)
    return [Mention(chunk_id=chunk_id, start=start, end=end, quote=name)] if start >= 0 else []


def _document(
    chunk_id: str, nodes: Sequence[Node], relationships: Sequence[Relationship] = ()
) -> GraphDocument:
    source = Document(id=chunk_id, page_content="", metadata={"source_id": chunk_id})
    return GraphDocument(nodes=tuple(nodes), relationships=tuple(relationships), source=source)
