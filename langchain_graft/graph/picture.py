"""A picture of a sub-graph: HTML to move about in, or a PNG."""

from __future__ import annotations

import math
import os
import warnings
from typing import TYPE_CHECKING, Any

from langchain_graft.errors import MissingExtraError
from langchain_graft.graph.triples import node_text, triple_text, type_text

try:
    import igraph
    import matplotlib as mpl
    from bokeh.embed import file_html
    from bokeh.models import ColumnDataSource, HoverTool
    from bokeh.palettes import Category10
    from bokeh.plotting import figure
    from bokeh.resources import INLINE
    from matplotlib import font_manager
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError("pictures") from error

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from langchain_graft.graph.types import Subgraph

FONT = "GRAFT_FONT"
"""Environment variable: path of a font for PNG pictures."""
_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "Noto Serif CJK SC",
    "AR PL UMing CN",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)
_COLOURS = Category10[10]
_QUOTE = 200
_WIDE = 40


def graph_html(subgraph: Subgraph, *, title: str, marked: Collection[str] = ()) -> str:
    """A page that shows a sub-graph, to be zoomed and moved; all it needs is in it.

    Pointing at a node shows its properties, at a relationship its words and quote.

    Args:
        subgraph: What is drawn.
        title: Above it.
        marked: Ids of nodes that are drawn larger.
    """
    places = layout(subgraph)
    plot = figure(
        title=title,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll="wheel_zoom",
        sizing_mode="stretch_both",
        match_aspect=True,
    )
    plot.axis.visible = plot.grid.visible = False
    edges = ColumnDataSource(_edge_columns(subgraph, places))
    lines = plot.segment("x0", "y0", "x1", "y1", source=edges, color="#9a9a9a", line_width=2)
    plot.scatter(
        "xm", "ym", source=edges, marker="triangle", angle="angle", size=8, color="#6a6a6a"
    )
    plot.text("xm", "ym", text="type", source=edges, **_text("#666666", "8pt", 6))
    for label, columns in _node_columns(subgraph, places, marked).items():
        nodes = ColumnDataSource(columns)
        drawn = plot.scatter(
            "x", "y", source=nodes, size="size", color=columns["color"][0], legend_label=label
        )
        plot.text("x", "y", text="name", source=nodes, **_text("black", "10pt", 9))
        plot.add_tools(HoverTool(renderers=[drawn], tooltips=[("", "@text")]))
    plot.add_tools(HoverTool(renderers=[lines], tooltips=[("", "@text"), ("says", "@quote")]))
    return str(file_html(plot, INLINE, title=title))


def write_png(
    subgraph: Subgraph, path: Path | str, *, title: str, marked: Collection[str] = ()
) -> list[str]:
    """Draw a sub-graph into a PNG file.

    Args:
        subgraph: What is drawn.
        path: The file.
        title: Above it.
        marked: Ids of nodes that are drawn larger.

    Returns:
        What is amiss with it: no font on this machine has some of its characters. Name one by the
        environment variable GRAFT_FONT, or install one, such as the package `fonts-noto-cjk`.
    """
    places = layout(subgraph)
    texts = [title, *(node.name for node in subgraph.nodes)]
    texts += [type_text(one.type) for one in subgraph.relationships]
    family, missing = _font("".join(texts))
    side = 6 + math.sqrt(len(subgraph.nodes))
    picture = Figure(figsize=(side * 1.3, side), dpi=110, layout="tight")
    with mpl.rc_context({"font.family": family}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        _draw(picture, subgraph, places, title=title, marked=marked)
        picture.savefig(str(path), format="png")
    return missing


def layout(subgraph: Subgraph) -> dict[str, tuple[float, float]]:
    """A place for each node, the same each time: what is related lies near (Kamada and Kawai)."""
    ids = [node.id for node in subgraph.nodes]
    numbers = {id_: n for n, id_ in enumerate(ids)}
    edges = [(numbers[one.source], numbers[one.target]) for one in subgraph.relationships]
    if not ids:
        return {}
    graph = igraph.Graph(n=len(ids), edges=edges)
    placed = graph.layout_kamada_kawai(seed=graph.layout_circle())
    return {id_: (float(x), float(y)) for id_, (x, y) in zip(ids, placed, strict=True)}


def _edge_columns(
    subgraph: Subgraph, places: Mapping[str, tuple[float, float]]
) -> dict[str, list[Any]]:
    names = {node.id: node.name for node in subgraph.nodes}
    columns: dict[str, list[Any]] = {
        name: [] for name in ("x0", "y0", "x1", "y1", "xm", "ym", "angle", "type", "text", "quote")
    }
    for one in subgraph.relationships:
        (x0, y0), (x1, y1) = places[one.source], places[one.target]
        quote = next((mention.quote for mention in one.mentions), "")[:_QUOTE]
        row = (
            (x0, y0, x1, y1, (x0 + 2 * x1) / 3, (y0 + 2 * y1) / 3),
            (math.atan2(y1 - y0, x1 - x0) - math.pi / 2,),
            (type_text(one.type), triple_text(one, names), quote),
        )
        for column, value in zip(columns.values(), (v for part in row for v in part), strict=True):
            column.append(value)
    return columns


def _node_columns(
    subgraph: Subgraph, places: Mapping[str, tuple[float, float]], marked: Collection[str]
) -> dict[str, dict[str, list[Any]]]:
    """Columns by label."""
    colours = _colours(subgraph)
    by_label: dict[str, dict[str, list[Any]]] = {}
    for node in subgraph.nodes:
        columns = by_label.setdefault(
            node.label or "-", {name: [] for name in ("x", "y", "name", "text", "size", "color")}
        )
        x, y = places[node.id]
        size = 22 if node.id in marked else 14
        row = (x, y, node.name[:_WIDE], node_text(node), size, colours[node.label])
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return by_label


def _colours(subgraph: Subgraph) -> dict[str, str]:
    labels = dict.fromkeys(node.label for node in subgraph.nodes)
    return {label: _COLOURS[n % len(_COLOURS)] for n, label in enumerate(labels)}


def _text(colour: str, size: str, offset: int) -> dict[str, Any]:
    return {
        "text_color": colour,
        "text_font_size": size,
        "x_offset": offset,
        "y_offset": offset,
        "text_font": "sans-serif",
    }


def _draw(
    picture: Figure,
    subgraph: Subgraph,
    places: Mapping[str, tuple[float, float]],
    *,
    title: str,
    marked: Collection[str],
) -> None:
    axes = picture.add_subplot()
    axes.set_title(_plain(title))
    axes.set_axis_off()
    for one in subgraph.relationships:
        (x0, y0), (x1, y1) = places[one.source], places[one.target]
        arrow = {"arrowstyle": "-|>", "color": "#9a9a9a", "shrinkA": 8, "shrinkB": 8}
        axes.annotate("", xy=(x1, y1), xytext=(x0, y0), arrowprops=arrow)
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        axes.annotate(_plain(type_text(one.type)), middle, fontsize=7, color="#666666", ha="center")
    for label, columns in _node_columns(subgraph, places, marked).items():
        sizes = [size * 8 for size in columns["size"]]
        axes.scatter(
            columns["x"], columns["y"], s=sizes, c=columns["color"], label=_plain(label), zorder=2
        )
        for x, y, name in zip(columns["x"], columns["y"], columns["name"], strict=True):
            axes.annotate(
                _plain(name), (x, y), xytext=(6, 6), textcoords="offset points", fontsize=9
            )
    if subgraph.nodes:
        axes.legend(loc="best", fontsize=8)


def _plain(text: str) -> str:
    """A text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


def _font(text: str) -> tuple[list[str], list[str]]:
    """Fonts that have the text's characters, in the order in which they are tried; what lacks."""
    wanted = {ord(character) for character in text if not character.isspace()}
    own = []
    if given := os.environ.get(FONT):
        font_manager.fontManager.addfont(given)
        own = [font_manager.FontProperties(fname=given).get_name()]
    default = "DejaVu Sans"
    left = wanted - _characters(default)
    chosen: list[str] = []
    if not left and not own:
        return [default], []
    here = {font.name for font in font_manager.fontManager.ttflist}
    for name in [*own, *(name for name in _FONTS if name in here)]:
        if name in own or left & _characters(name):
            chosen.append(name)
            left -= _characters(name)
        if not left:
            break
    if not left:
        return [default, *chosen], []
    shown = "".join(map(chr, sorted(left)[:10]))
    missing = (
        f"No font on this machine has {shown!r}: these characters are drawn as boxes. Install one "
        f"(apt install fonts-noto-cjk; dnf install google-noto-sans-cjk-fonts), or name one: "
        f"{FONT}=/path/to/font.ttf. An .html picture shows them with the browser's fonts"
    )
    return [default, *chosen], [missing]


def _characters(family: str) -> set[int]:
    path = font_manager.findfont(family)
    return set(font_manager.get_font(path).get_charmap())
