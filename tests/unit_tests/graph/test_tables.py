"""A graph from the rows of a table."""

from itertools import count, islice

import pytest

from langchain_graft.graph import NodeColumns, RelationshipColumns, TableMapping, graph_from_table
from langchain_graft.graph.embedded_store import EmbeddedGraphStore
from langchain_graft.graph.tables import add_table, read_csv

MAPPING = TableMapping(
    nodes={
        "founder": NodeColumns(label="Person", name="who", properties={"born": "birth_year"}),
        "company": NodeColumns(label="Company", name="firm", id="firm_id"),
    },
    relationships=[
        RelationshipColumns(
            source="founder", type="FOUNDED", target="company", properties={"year": "in"}
        )
    ],
)
ROWS = [
    {"who": "Jobs", "born": 1955, "firm": "Apple", "firm_id": "1", "year": "1976", "note": "x"},
    {"who": "柳传志", "born": "", "firm": "联想", "firm_id": "2", "year": 1984, "note": ""},
    {"who": "", "born": "", "firm": "Apple", "firm_id": "3", "year": "1968", "note": ""},
]


def test_rows_become_nodes_and_relationships_with_their_places():
    first, second, third = graph_from_table(ROWS, MAPPING, source_id="founders.csv")
    assert [(n.label, n.name, n.properties) for n in first.nodes] == [
        ("Person", "Jobs", {"birth_year": 1955}),
        ("Company", "Apple", {}),
    ]
    assert first.relationships[0].properties == {"in": "1976"}
    assert second.nodes[0].properties == {}
    assert [n.name for n in third.nodes] == ["Apple"]
    assert third.relationships == ()
    assert first.nodes[1].id != third.nodes[0].id
    for document in (first, second, third):
        assert document.source.metadata["source_id"] == "founders.csv"
        for one in (*document.nodes, *document.relationships):
            [said] = one.mentions
            assert said.chunk_id == document.source.id
            assert document.source.page_content[said.start : said.end] == said.quote


def test_rows_are_read_as_they_are_asked_for():
    endless = ({**ROWS[0], "who": f"Jobs {n}"} for n in count())
    assert len(list(islice(graph_from_table(endless, MAPPING), 3))) == 3


def test_a_csv_file_goes_into_a_store_in_batches(tmp_path):
    path = tmp_path / "founders.csv"
    lines = [f"P{n},1955,C{n % 3},{n % 3},1976" for n in range(7)]
    path.write_text("\ufeffwho,born,firm,firm_id,year\n" + "\n".join(lines), encoding="utf-8")
    store = EmbeddedGraphStore(None)
    for _ in range(2):
        assert add_table(store, read_csv(path), MAPPING, source_id="f", batch=2) == 7
    counts = {node.label: node.count for node in store.schema(refresh=True).nodes}
    assert counts == {"Person": 7, "Company": 3}


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="'boss'"):
        TableMapping(
            nodes={"a": NodeColumns(label="A", name="a")},
            relationships=[RelationshipColumns(source="a", type="R", target="boss")],
        )
    with pytest.raises(ValueError, match="no nodes"):
        TableMapping(nodes={})
    with pytest.raises(ValueError, match=r"Row 2 .*'firm'"):
        list(graph_from_table([ROWS[0], {"who": "x"}], MAPPING))
