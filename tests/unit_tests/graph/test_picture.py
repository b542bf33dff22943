"""Pictures of a sub-graph."""

import pytest
from matplotlib import font_manager

from langchain_graft.graph import Mention, Node, Relationship, Subgraph
from langchain_graft.graph.picture import FONT, graph_html, layout, write_png

SAID = (Mention(chunk_id="c", start=0, end=4, quote="They met in 1971."),)


def world(*names, label="Person"):
    nodes = tuple(Node(id=str(n), label=label, name=name) for n, name in enumerate(names))
    edges = tuple(
        Relationship(source="0", target=node.id, type="MET", mentions=SAID) for node in nodes[1:]
    )
    return Subgraph(nodes=nodes, relationships=edges)


def test_a_page_holds_names_types_and_quotes_and_needs_no_network():
    page = graph_html(world("Steve Jobs", "史蒂夫·沃兹尼亚克"), title="Two friends", marked={"0"})
    for text in ("Two friends", "Steve Jobs", "They met in 1971.", "Person"):
        assert text in page
    assert "史蒂夫" in page or "\\u53f2\\u8482\\u592b" in page
    assert "cdn.bokeh.org" not in page


def test_names_can_not_leave_their_place():
    evil = "</script><script>alert(1)</script>"
    page = graph_html(world(evil, "b", label=evil), title=evil)
    assert "<script>alert(1)" not in page


@pytest.mark.parametrize("names", [(), ("one",), ("a", "$x_{", "c\n"), tuple("abcdefghijklmnop")])
def test_a_png_is_drawn(tmp_path, names):
    path = tmp_path / "graph.png"
    assert write_png(world(*names), path, title="A_$^graph") == []
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 2000


def test_what_no_font_has_is_said_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("langchain_graft.graph.picture._FONTS", ())
    [warning] = write_png(world("乔布斯"), tmp_path / "graph.png", title="")
    assert "乔" in warning
    assert "fonts-noto-cjk" in warning
    assert FONT in warning


def test_a_font_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv(FONT, font_manager.findfont("DejaVu Serif"))
    assert write_png(world("a"), tmp_path / "graph.png", title="") == []


def test_the_layout_is_the_same_each_time_and_no_two_things_lie_on_each_other():
    subgraph = world(*"abcdef")
    places = layout(subgraph)
    assert places == layout(subgraph)
    assert len(set(places.values())) == 6
