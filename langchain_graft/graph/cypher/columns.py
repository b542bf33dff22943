"""Which columns a statement returns, by rule where the model has not chosen them.

Several columns, columns with names of their own and whole nodes were chosen, and stay: of right
statements a rule that rewrites them spoils more than it mends of wrong ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.aggregation import AGGREGATES, aggregates_in, normal
from langchain_graft.graph.cypher.asked import (
    identifying_property,
    is_code,
    is_ranking,
    limit_asked,
    wanted,
)
from langchain_graft.graph.cypher.edits import Repaired, edited
from langchain_graft.graph.cypher.resolve import variable_labels
from langchain_graft.graph.cypher.statement import read_statement
from langchain_graft.graph.schema_slice import escaped_name

if TYPE_CHECKING:
    from langchain_graft.graph.cypher.statement import Clause, Item, NodePattern, Statement
    from langchain_graft.graph.schema import Schema

_CODE_ASKED = re.compile(
    r"\b(?:ids?|codes?|keys?|numbers?|identifiers?)\b|编号|代码|号码", re.IGNORECASE
)
_ONE_ASKED = re.compile(r"^\W*which\s+(?!\d|people\b)[a-z]+(?<!s)\b", re.IGNORECASE)
"""`Which movie ...?`: one thing is asked for, by its name."""
_OWN = re.compile(r"\w+\.\w+")
_DIRECTION = re.compile(r"\s+(?:ASC|DESC|ASCENDING|DESCENDING)\s*$", re.IGNORECASE)


def mend_ranking_columns(cypher: str, _schema: Schema, question: str) -> Repaired:
    """What a ranking is ordered by is returned beside the one column, but for names alone."""
    statement = read_statement(cypher)
    last = _plain_return(statement)
    if last is None or len(statement.items(last)) > 1:
        return Repaired(cypher)
    if (wanted(question) != "open" and not is_ranking(question)) or wanted(question) == "whole":
        return Repaired(cypher)
    keys = [key for key in _order_keys(statement, last) if _is_new(key, statement, last)]
    if not keys:
        return Repaired(cypher)
    end = statement.items(last)[-1].end
    added = "".join(f", {key}" for key in keys[:1])
    return Repaired(edited(cypher, [(end, end, added)]), ("columns: what it is ranked by",))


def mend_node_columns(cypher: str, schema: Schema, question: str) -> Repaired:
    """A node as the question wants it: whole, or by the property that says which one it is.

    By its name where something of another kind stands beside it, and where several are asked for
    by name. Whole where things are listed and the statement says of each only which one it is.
    """
    statement = read_statement(cypher)
    last = _plain_return(statement)
    if last is None:
        return Repaired(cypher)
    items = statement.items(last)
    labels = variable_labels(statement, schema)
    nodes = [item for item in items if item.text in labels and not _aliased_value(statement, item)]
    if not nodes and len(items) == 1 and wanted(question) == "whole":
        return _whole(statement, items[0], labels, schema, question)
    chosen = len(nodes) == len(items) and wanted(question) != "name"
    if not nodes or len(items) == 1 or chosen:
        return Repaired(cypher)
    return _named(statement, nodes, labels, schema)


def mend_code_columns(cypher: str, schema: Schema, question: str) -> Repaired:
    """`s.supplierID` says little to who did not ask for it: the name stands there instead."""
    statement = read_statement(cypher)
    last = _plain_return(statement)
    if last is None or _CODE_ASKED.search(question):
        return Repaired(cypher)
    items = statement.items(last)
    told = {item.text for item in items}
    edits = []
    for item in items:
        variable, _, name = item.text.partition(".")
        labels = variable_labels(statement, schema).get(variable, ())
        node = schema.node(labels[0]) if labels else None
        best = identifying_property(node) if node else None
        if best and is_code(name) and not is_code(best.name) and best.type == "STRING":
            text = f"{variable}.{escaped_name(best.name)}"
            if text not in told:
                edits.append((item.start, item.start + len(item.text), text))
    if not edits:
        return Repaired(cypher)
    return Repaired(edited(cypher, edits), ("columns: names instead of codes",))


def mend_lonely_properties(cypher: str, schema: Schema, _question: str) -> Repaired:
    """`RETURN r.roles` says whose roles: the name of the node beside that is not fixed."""
    statement = read_statement(cypher)
    last = _plain_return(statement)
    if last is None or _grouping(statement, last) or statement.is_distinct(last):
        return Repaired(cypher)
    items = statement.items(last)
    owners = {item.text.split(".")[0] for item in items if "." in item.text}
    types = statement.relationship_types
    if len(owners) != 1 or not owners <= set(types) or any("." not in item.text for item in items):
        return Repaired(cypher)
    one = next(r for r in statement.relationships if r.variable and r.variable.name in owners)
    fixed = [node for node in (one.left, one.right) if _is_fixed(statement, node)]
    free = [node for node in (one.left, one.right) if node not in fixed and node.variable]
    if len(fixed) != 1 or len(free) != 1 or free[0].variable is None:
        return Repaired(cypher)
    label = variable_labels(statement, schema).get(free[0].variable.name, ())
    node = schema.node(label[0]) if label else None
    name = identifying_property(node) if node else None
    if name is None:
        return Repaired(cypher)
    text = f"{free[0].variable.text}.{escaped_name(name.name)}, "
    start = items[0].start
    return Repaired(edited(cypher, [(start, start, text)]), ("columns: whose property it is",))


def mend_limit(  # noqa: PLR0911 (each case its own)
    cypher: str, _schema: Schema, question: str
) -> Repaired:
    """The number of rows that the question asks for; a LIMIT that nothing asks for goes."""
    statement = read_statement(cypher)
    limit, last = statement.last("LIMIT"), statement.last("RETURN")
    count = limit_asked(question)
    if last is None or statement.last("UNION"):
        return Repaired(cypher)
    if limit is None and count is not None and not _counts_all(statement, last):
        text = f"{cypher.rstrip().rstrip(';')} LIMIT {count}"
        return Repaired(text, (f"the question wants {count}: LIMIT {count}",))
    if limit is None or not statement.body(limit).isdigit():
        return Repaired(cypher)
    number = int(statement.body(limit))
    said = re.search(rf"(?<!\d){number}(?!\d)", question)
    if count is not None and number != count and not said:
        mended = edited(cypher, [(limit.body, limit.end, f" {count} ")]).strip()
        return Repaired(mended, (f"the question wants {count}: LIMIT {count}",))
    if count is None and number > 1 and not said:
        mended = edited(cypher, [(limit.start, limit.end, " ")]).strip()
        return Repaired(mended, (f"the question asks for no LIMIT {number}",))
    return Repaired(cypher)


def _is_fixed(statement: Statement, node: NodePattern) -> bool:
    """Whether a node is one certain thing: something of it equals a literal."""
    if node.entries:
        return True
    name = node.variable.text if node.variable else ""
    equals = rf"(?<!\w){re.escape(name)}\.\w+\s*=\s*['\"$\d]"
    return bool(name) and re.search(equals, statement.cypher) is not None


def _plain_return(statement: Statement) -> Clause | None:
    """The last RETURN, where its columns may be changed without changing its rows."""
    last = statement.last("RETURN")
    if last is None or statement.last("UNION", "CALL") or not statement.items(last):
        return None
    return last


def _order_keys(statement: Statement, last: Clause) -> list[str]:
    """What the rows are ordered by, here or in the WITH before it, in words that hold here."""
    order = statement.last("ORDER")
    if order is None:
        return []
    before = [one for one in statement.clauses if one.start < last.start]
    between = [one.keyword for one in statement.clauses if order.start < one.start < last.start]
    if order.start < last.start and not set(between) <= {"LIMIT", "SKIP"}:
        return []
    if _grouping(statement, last) or statement.is_distinct(last):
        return []
    parts = [_DIRECTION.sub("", part).strip() for part in _split(statement.body(order))]
    if any(aggregates_in(part) for part in parts) or not before:
        return []
    return parts


def _split(text: str) -> list[str]:
    statement = read_statement(f"RETURN {text}")
    return (
        [item.text for item in statement.items(statement.clauses[0])] if statement.clauses else []
    )


def _is_new(key: str, statement: Statement, last: Clause) -> bool:
    """Whether the columns do not tell it: `size(r.roles)` they do by `r.roles`, `m.born` by `m`."""
    items = statement.items(last)
    told = {normal(item.text) for item in items} | {normal(item.alias or "") for item in items}
    root = normal(key.split(".", maxsplit=1)[0])
    inner = {normal(one) for one in _OWN.findall(key)}
    return (
        normal(key) not in told
        and normal(key.rsplit(".", maxsplit=1)[-1]) not in told
        and not ("." in key and root in told)
        and not (inner and inner <= told)
    )


def _grouping(statement: Statement, last: Clause) -> bool:
    return any(aggregates_in(item.text) for item in statement.items(last))


def _counts_all(statement: Statement, last: Clause) -> bool:
    """One row comes out anyway: every column is an aggregate."""
    return all(aggregates_in(item.text) for item in statement.items(last))


def _aliased_value(statement: Statement, item: Item) -> bool:
    """A pattern's name that `WITH count(m) AS m` or `UNWIND xs AS m` has made a value of."""
    named = any(node.variable and node.variable.name == item.text for node in statement.nodes)
    return named and statement.is_given(item.text)


def _in_aggregation(statement: Statement) -> bool:
    return any(atom.is_keyword(*AGGREGATES) for atom in statement.atoms)


def _named(
    statement: Statement, nodes: list[Item], labels: dict[str, tuple[str, ...]], schema: Schema
) -> Repaired:
    edits = []
    for item in nodes:
        node = schema.node(labels[item.text][0]) if labels[item.text] else None
        name = identifying_property(node) if node else None
        if name is not None:
            end = item.start + len(item.text)
            edits.append((item.start, end, f"{item.text}.{escaped_name(name.name)}"))
    if not edits:
        return Repaired(statement.cypher)
    mended = edited(statement.cypher, edits)
    return Repaired(mended, ("columns: nodes by their names",))


def _whole(
    statement: Statement,
    item: Item,
    labels: dict[str, tuple[str, ...]],
    schema: Schema,
    question: str,
) -> Repaired:
    """The one column's node, where the column is a key or a name that says only which one it is.

    A name that was found by way of others is taken for what was asked ("Which movies did Tom Hanks
    act in?"), and so is one that has a name of its own, or that "Which movie" asks for.
    """
    cypher, last = statement.cypher, statement.last("RETURN")
    owner = _one_owner([item], labels)
    if owner is None or last is None or item.alias or _in_aggregation(statement):
        return Repaired(cypher)
    name = item.text.partition(".")[2].strip("`")
    node = schema.node(labels[owner][0])
    best = identifying_property(node) if node else None
    walks = any(True for _ in statement.relationships)
    is_name = best is not None and name == best.name
    if not is_code(name) and (not is_name or walks or _ONE_ASKED.search(question)):
        return Repaired(cypher)
    distinct = "DISTINCT " if statement.is_distinct(last) else ""
    mended = edited(cypher, [(last.body, item.end, f" {distinct}{owner}")])
    if not _order_holds(mended):
        return Repaired(cypher)
    return Repaired(mended, (f"columns: {owner} whole",))


def _one_owner(items: list[Item], labels: dict[str, tuple[str, ...]]) -> str | None:
    """The node whose properties all columns are, its identifying one among them perhaps."""
    owners = set()
    for item in items:
        match = re.fullmatch(r"(\w+)\.(?:\w+|`[^`]+`)", item.text)
        owners.add(match[1] if match and labels.get(match[1]) else None)
    return owners.pop() if len(owners) == 1 else None


def _order_holds(mended: str) -> bool:
    """Whether what ORDER BY says still stands: no alias of a column that is gone."""
    statement = read_statement(mended)
    order = statement.last("ORDER")
    if order is None:
        return True
    known = {*statement.node_labels, *statement.relationship_types}
    keys = [_DIRECTION.sub("", part).strip() for part in _split(statement.body(order))]
    named = [
        item.alias for c in statement.clauses if c.keyword == "WITH" for item in statement.items(c)
    ]
    return all(key.split(".")[0] in known or key in named or "(" in key for key in keys)
