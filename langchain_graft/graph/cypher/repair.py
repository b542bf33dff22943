"""The sure repairs of a statement, one after another, until none has anything left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_graft.graph.cypher.aggregation import (
    mend_aggregated_condition,
    mend_group_by,
    mend_ordering_by_aggregate,
)
from langchain_graft.graph.cypher.arrows import mend_arrows, mend_steps
from langchain_graft.graph.cypher.clause_order import mend_clause_order, mend_missing_return
from langchain_graft.graph.cypher.columns import (
    mend_code_columns,
    mend_limit,
    mend_lonely_properties,
    mend_node_columns,
    mend_ranking_columns,
)
from langchain_graft.graph.cypher.dates import mend_date_parts, mend_years
from langchain_graft.graph.cypher.edits import Repair, Repaired
from langchain_graft.graph.cypher.leftovers import mend_functions, mend_unbound_entries
from langchain_graft.graph.cypher.names import mend_names
from langchain_graft.graph.cypher.operators import (
    mend_between,
    mend_like,
    mend_operators,
)
from langchain_graft.graph.cypher.ordering import mend_direction, mend_grouped_ordering
from langchain_graft.graph.cypher.owners import mend_owners
from langchain_graft.graph.cypher.quotes import mend_quotes
from langchain_graft.graph.cypher.regrouping import (
    mend_late_where,
    mend_lost_conditions,
    mend_lost_groups,
)
from langchain_graft.graph.cypher.sameness import drop_needless_ends, mend_same_things
from langchain_graft.graph.cypher.scope import (
    mend_bare_properties,
    mend_conditions_that_bind,
    mend_lost_variables,
    mend_unbound_variables,
    mend_with_columns,
)
from langchain_graft.graph.cypher.slips import (
    mend_brackets,
    mend_compared_entries,
    mend_words_of_sql,
)
from langchain_graft.graph.cypher.tokens import without_comments
from langchain_graft.graph.cypher.value_types import mend_value_types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_graft.graph.schema import Schema

SYNTAX: tuple[Repair, ...] = (
    mend_quotes,
    mend_brackets,
    mend_compared_entries,
    mend_words_of_sql,
    mend_missing_return,
    mend_late_where,
    mend_group_by,
    mend_operators,
    mend_like,
    mend_between,
    mend_date_parts,
    mend_clause_order,
    mend_functions,
    mend_aggregated_condition,
    mend_ordering_by_aggregate,
    mend_grouped_ordering,
    mend_unbound_entries,
    mend_with_columns,
    mend_lost_variables,
    mend_lost_conditions,
    mend_lost_groups,
    mend_conditions_that_bind,
)
"""What Neo4j would not read."""
SCHEMA: tuple[Repair, ...] = (
    mend_names,
    mend_arrows,
    mend_steps,
    mend_bare_properties,
    mend_unbound_variables,
    mend_owners,
    mend_value_types,
    mend_years,
)
"""What the graph does not have."""
QUESTION: tuple[Repair, ...] = (mend_same_things, drop_needless_ends)
"""What the question does not ask for."""
COLUMNS: tuple[Repair, ...] = (
    mend_direction,
    mend_limit,
    mend_ranking_columns,
    mend_lonely_properties,
    mend_node_columns,
    mend_code_columns,
)
"""Which rows and columns come out."""
_MOST_ROUNDS = 4


def repair_cypher(
    cypher: str,
    schema: Schema,
    question: str,
    *,
    repairs: Sequence[Repair] = SYNTAX + SCHEMA + QUESTION + COLUMNS,
) -> Repaired:
    """The statement after all repairs that are sure, and what each one did.

    Args:
        cypher: As the model wrote it.
        schema: Of the live graph.
        question: What was asked.
        repairs: Which ones, in order; they go round until the statement stays as it is.
    """
    notes: list[str] = []
    cypher = without_comments(cypher)
    for _ in range(_MOST_ROUNDS):
        before = cypher
        for repair in repairs:
            repaired = repair(cypher, schema, question)
            if repaired.cypher != cypher:
                notes += repaired.notes
                cypher = repaired.cypher
        if cypher == before:
            break
    return Repaired(
        " ".join(cypher.split()) if not _has_texts(cypher) else cypher.strip(), tuple(notes)
    )


def _has_texts(cypher: str) -> bool:
    """Whether spaces may count: there are strings, or comments that could not be read."""
    return any(mark in cypher for mark in "'\"`/")
