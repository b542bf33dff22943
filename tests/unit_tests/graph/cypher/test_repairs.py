# ruff: noqa: E501 (a statement reads best on one line)
"""Each repair on what models really write; and what is right stays as it is."""

import importlib.util
from pathlib import Path

import pytest

from langchain_graft.graph.cypher.aggregation import (
    mend_aggregated_condition,
    mend_group_by,
    mend_ordering_by_aggregate,
)
from langchain_graft.graph.cypher.arrows import mend_arrows, mend_steps
from langchain_graft.graph.cypher.check import check_cypher
from langchain_graft.graph.cypher.clause_order import mend_clause_order, mend_missing_return
from langchain_graft.graph.cypher.columns import (
    mend_code_columns,
    mend_limit,
    mend_lonely_properties,
    mend_node_columns,
    mend_ranking_columns,
)
from langchain_graft.graph.cypher.dates import mend_date_parts, mend_years
from langchain_graft.graph.cypher.leftovers import mend_functions, mend_unbound_entries
from langchain_graft.graph.cypher.literals import drop_foreign_literals
from langchain_graft.graph.cypher.names import mend_names
from langchain_graft.graph.cypher.operators import (
    mend_between,
    mend_like,
    mend_operators,
)
from langchain_graft.graph.cypher.ordering import mend_direction, mend_grouped_ordering
from langchain_graft.graph.cypher.owners import mend_owners
from langchain_graft.graph.cypher.parameters import with_parameters
from langchain_graft.graph.cypher.quotes import mend_quotes
from langchain_graft.graph.cypher.regrouping import (
    mend_late_where,
    mend_lost_conditions,
    mend_lost_groups,
)
from langchain_graft.graph.cypher.repair import repair_cypher
from langchain_graft.graph.cypher.reply import cypher_of_reply
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
from langchain_graft.graph.cypher.value_types import mend_value_types
from langchain_graft.graph.schema import NodeType, Property, Schema

_spec = importlib.util.spec_from_file_location(
    "text2cypher_worlds", Path(__file__).parents[1] / "text2cypher_worlds.py"
)
worlds = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(worlds)
FILMS, SHOP = worlds.FILMS, worlds.SHOP
DATE_TEXT = Property(name="orderDate", type="STRING", examples=("1997-08-25 00:00",))
DATED = Schema(
    nodes=(NodeType(label="Order", properties=(DATE_TEXT, Property(name="city", type="STRING"))),)
)
TASKS = Schema(
    nodes=(
        NodeType(
            label="Task",
            properties=worlds.properties("title STRING, score FLOAT, end STRING, desc STRING"),
        ),
    )
)
ACTED = "MATCH (p:Person)-[:ACTED_IN]->(m:Movie)"
DIRECTED = "MATCH (p:Person)-[:DIRECTED]->(m:Movie)"
REVIEWED = "MATCH (p:Person)-[:REVIEWED]->(m:Movie)"

MENDED = [
    (mend_quotes, FILMS, "", f"{ACTED} WHERE m.title = 'Something's Gotta Give' RETURN p",
     f'{ACTED} WHERE m.title = "Something\'s Gotta Give" RETURN p'),
    (mend_quotes, FILMS, "", "MATCH (m {title: 'It''s'}) RETURN m", 'MATCH (m {title: "It\'s"}) RETURN m'),
    (mend_group_by, FILMS, "", f"{DIRECTED} RETURN p.name, count(m) AS n GROUP BY p.name HAVING n > 2",
     f"{DIRECTED} WITH p.name AS name, count(m) AS n WHERE n > 2 RETURN name, n"),
    (mend_group_by, FILMS, "", f"{DIRECTED} WITH p, count(m) AS n HAVING n > 2 RETURN p",
     f"{DIRECTED} WITH p, count(m) AS n WHERE n > 2 RETURN p"),
    (mend_aggregated_condition, FILMS, "", f"{DIRECTED} WHERE count(m) > 2 AND p.born > 1950 RETURN p.name",
     f"{DIRECTED} WHERE p.born > 1950 WITH p, count(m) AS m_count WHERE m_count > 2 RETURN p.name"),
    (mend_aggregated_condition, SHOP, "", "MATCH (p:Product) WHERE p.unitPrice > avg(p.unitPrice) RETURN p",
     ("MATCH (p:Product) WITH avg(p.unitPrice) AS avg_unitPrice MATCH (p:Product) "
     "WHERE p.unitPrice > avg_unitPrice RETURN p")),
    (mend_ordering_by_aggregate, FILMS, "", f"{DIRECTED} RETURN p.name ORDER BY count(m) DESC LIMIT 3",
     f"{DIRECTED} RETURN p.name, count(m) AS m_count ORDER BY m_count DESC LIMIT 3"),
    (mend_grouped_ordering, FILMS, "", f"{DIRECTED} RETURN p.name, count(m) ORDER BY p.born",
     f"{DIRECTED} RETURN p.name, count(m), p.born ORDER BY p.born"),
    (mend_missing_return, FILMS, "", f"{DIRECTED} WITH p, count(m) AS n ORDER BY n DESC LIMIT 3",
     f"{DIRECTED} RETURN p, count(m) AS n ORDER BY n DESC LIMIT 3"),
    (mend_missing_return, FILMS, "", "MATCH (m:Movie) WHERE m.released > 2000 LIMIT 3",
     "MATCH (m:Movie) WHERE m.released > 2000 RETURN m LIMIT 3"),
    (mend_clause_order, FILMS, "", "MATCH (p:Person) ORDER BY p.born LIMIT 3 RETURN p.name",
     "MATCH (p:Person) RETURN p.name ORDER BY p.born LIMIT 3"),
    (mend_clause_order, FILMS, "", "MATCH (p:Person) RETURN p.name LIMIT 3 ORDER BY p.born",
     "MATCH (p:Person) RETURN p.name ORDER BY p.born LIMIT 3"),
    (mend_operators, FILMS, "", "MATCH (m:Movie) WHERE m.title NOT IN ('a', 'b') && m.released != 3 RETURN m",
     "MATCH (m:Movie) WHERE NOT m.title IN ['a', 'b'] AND m.released <> 3 RETURN m"),
    (mend_like, FILMS, "", "MATCH (m:Movie) WHERE m.title LIKE '%Matrix%' RETURN m",
     "MATCH (m:Movie) WHERE m.title CONTAINS 'Matrix' RETURN m"),
    (mend_like, FILMS, "", "MATCH (m:Movie) WHERE m.title ILIKE 'the%' RETURN m",
     "MATCH (m:Movie) WHERE toLower(m.title) STARTS WITH toLower('the') RETURN m"),
    (mend_between, FILMS, "", "MATCH (m:Movie) WHERE m.released BETWEEN 1990 AND 2000 RETURN m",
     "MATCH (m:Movie) WHERE 1990 <= m.released <= 2000 RETURN m"),
    (mend_date_parts, SHOP, "", "MATCH (o:Order) WHERE YEAR(o.shipped) = 1997 RETURN o",
     "MATCH (o:Order) WHERE o.shipped.year = 1997 RETURN o"),
    (mend_date_parts, SHOP, "", "MATCH (o:Order) WHERE YEAR(o.orderDate) = 1997 RETURN o",
     "MATCH (o:Order) WHERE toInteger(substring(o.orderDate, 0, 4)) = 1997 RETURN o"),
    (mend_unbound_entries, FILMS, "", "MATCH (:Person)-[:REVIEWED {rating: r}]->(m:Movie) WHERE r > 90 RETURN m",
     "MATCH (:Person)-[x:REVIEWED]->(m:Movie) WHERE x.rating > 90 RETURN m"),
    (mend_functions, FILMS, "", "MATCH (m:Movie) WHERE length(m.title) > 9 AND LOWER(m.title) = 'x' RETURN m",
     "MATCH (m:Movie) WHERE size(m.title) > 9 AND toLower(m.title) = 'x' RETURN m"),
    (mend_functions, FILMS, "", "MATCH (p:Person) WHERE size((p)-[:FOLLOWS]->()) > 5 RETURN p",
     "MATCH (p:Person) WHERE COUNT { (p)-[:FOLLOWS]->() } > 5 RETURN p"),
    (mend_names, FILMS, "", "MATCH (p:person)-[:directed]->(m:Movies) RETURN p.Name, m.relesed",
     "MATCH (p:Person)-[:DIRECTED]->(m:Movie) RETURN p.name, m.released"),
    (mend_names, FILMS, "", "MATCH (p:Person)-[ACTED_IN]->(m:Movie) RETURN p", f"{ACTED} RETURN p"),
    (mend_arrows, FILMS, "", "MATCH (m:Movie)-[:ACTED_IN]->(p:Person) RETURN p",
     "MATCH (m:Movie)<-[:ACTED_IN]-(p:Person) RETURN p"),
    (mend_arrows, FILMS, "", "MATCH (m:Movie)-[r:REVIEWED {rating: 5}]->() RETURN m",
     "MATCH (m:Movie)<-[r:REVIEWED {rating: 5}]-() RETURN m"),
    (mend_steps, SHOP, "", "MATCH (p:Product)-[:ORDERS]->(c:Customer) RETURN c",
     "MATCH (p:Product)<-[:ORDERS]-(:Order)<-[:PURCHASED]-(c:Customer) RETURN c"),
    (mend_steps, SHOP, "", "MATCH (o:Order)-[r:CONTAINS]->(p:Product) RETURN r.quantity",
     "MATCH (o:Order)-[r:ORDERS]->(p:Product) RETURN r.quantity"),
    (mend_owners, FILMS, "", f"{REVIEWED} WHERE m.rating > 80 RETURN p.name",
     "MATCH (p:Person)-[r:REVIEWED]->(m:Movie) WHERE r.rating > 80 RETURN p.name"),
    (mend_owners, FILMS, "", "MATCH (p:Person)-[r:ACTED_IN]->(m:Movie) WHERE r.released > 2000 RETURN p",
     "MATCH (p:Person)-[r:ACTED_IN]->(m:Movie) WHERE m.released > 2000 RETURN p"),
    (mend_owners, FILMS, "", "MATCH (p:Person)-[:REVIEWED]->(m:Movie {rating: 80, title: 'x'}) RETURN p",
     "MATCH (p:Person)-[:REVIEWED {rating: 80}]->(m:Movie {title: 'x'}) RETURN p"),
    (mend_owners, SHOP, "", "MATCH (p:Product) WHERE p.categoryName = 'Beverages' RETURN p",
     "MATCH (p:Product), (p)-[:PART_OF]->(c:Category) WHERE c.categoryName = 'Beverages' RETURN p"),
    (mend_value_types, SHOP, "", "MATCH (p:Product {productID: 7}) WHERE p.weight > 3 RETURN p",
     "MATCH (p:Product {productID: '7'}) WHERE toFloat(p.weight) > 3 RETURN p"),
    (mend_value_types, SHOP, "", "MATCH (p:Product) WHERE p.discontinued = 'True' AND p.unitPrice < '5' RETURN p",
     "MATCH (p:Product) WHERE p.discontinued = true AND p.unitPrice < 5 RETURN p"),
    (mend_value_types, SHOP, "", "MATCH (o:Order) WHERE o.shipped > '1997-01-01' RETURN o",
     "MATCH (o:Order) WHERE o.shipped > date('1997-01-01') RETURN o"),
    (mend_value_types, FILMS, "", "MATCH (:Person)-[r:ACTED_IN]->(m) WHERE r.roles CONTAINS 'Neo' RETURN m",
     "MATCH (:Person)-[r:ACTED_IN]->(m) WHERE any(one IN r.roles WHERE one CONTAINS 'Neo') RETURN m"),
    (mend_same_things, FILMS, "Who directed and acted in the same movie?",
     "MATCH (p:Person)-[:DIRECTED]->(m:Movie), (p)-[:ACTED_IN]->(m2:Movie) RETURN p.name",
     "MATCH (p:Person)-[:DIRECTED]->(m:Movie), (p)-[:ACTED_IN]->(m) RETURN p.name"),
    (drop_needless_ends, SHOP, "Which products cost more than 20?",
     "MATCH (p:Product)-[:PART_OF]->(c:Category) WHERE p.unitPrice > 20 RETURN p",
     "MATCH (p:Product) WHERE p.unitPrice > 20 RETURN p"),
    (mend_direction, FILMS, "Who is the youngest actor?", f"{ACTED} RETURN p.name ORDER BY p.born LIMIT 1",
     f"{ACTED} RETURN p.name ORDER BY p.born DESC LIMIT 1"),
    (mend_direction, SHOP, "the cheapest product", "MATCH (p:Product) RETURN p ORDER BY p.unitPrice DESC LIMIT 1",
     "MATCH (p:Product) RETURN p ORDER BY p.unitPrice LIMIT 1"),
    (mend_limit, FILMS, "Name the first three films", "MATCH (m:Movie) RETURN m", "MATCH (m:Movie) RETURN m LIMIT 3"),
    (mend_limit, FILMS, "Which films are there?", "MATCH (m:Movie) RETURN m LIMIT 10", "MATCH (m:Movie) RETURN m"),
    (mend_limit, FILMS, "前5部电影", "MATCH (m:Movie) RETURN m LIMIT 10", "MATCH (m:Movie) RETURN m LIMIT 5"),
    (mend_ranking_columns, FILMS, "Who are the oldest actors?", f"{ACTED} RETURN p.name ORDER BY p.born",
     f"{ACTED} RETURN p.name, p.born ORDER BY p.born"),
    (mend_ranking_columns, FILMS, "Who directed most?",
     f"{DIRECTED} WITH p, count(m) AS n ORDER BY n DESC LIMIT 1 RETURN p.name",
     f"{DIRECTED} WITH p, count(m) AS n ORDER BY n DESC LIMIT 1 RETURN p.name, n"),
    (mend_ranking_columns, FILMS, "Who has the longest name?", "MATCH (p:Person) RETURN p.born ORDER BY size(p.name) DESC",
     "MATCH (p:Person) RETURN p.born, size(p.name) ORDER BY size(p.name) DESC"),
    (mend_node_columns, FILMS, "Who acted in what?", f"{ACTED} RETURN p, m", f"{ACTED} RETURN p.name, m.title"),
    (mend_node_columns, FILMS, "How many films for each actor?", f"{ACTED} RETURN p, count(m)", f"{ACTED} RETURN p.name, count(m)"),
    (mend_node_columns, SHOP, "List the products of category 1", "MATCH (p:Product)-[:PART_OF]->(c:Category {categoryName: '1'}) RETURN p.productID",
     "MATCH (p:Product)-[:PART_OF]->(c:Category {categoryName: '1'}) RETURN p"),
    (mend_node_columns, FILMS, "List the films of 1999", "MATCH (m:Movie) RETURN m.title", "MATCH (m:Movie) RETURN m"),
    (mend_lonely_properties, FILMS, "What are the roles in X?",
     "MATCH (p:Person)-[r:ACTED_IN]->(m:Movie {title: 'X'}) RETURN r.roles",
     "MATCH (p:Person)-[r:ACTED_IN]->(m:Movie {title: 'X'}) RETURN p.name, r.roles"),
    (mend_group_by, FILMS, "", f"{DIRECTED} HAVING count(m) > 5 RETURN p.name", f"{DIRECTED} WHERE count(m) > 5 RETURN p.name"),
    (mend_aggregated_condition, FILMS, "", "MATCH (m:Movie) WHERE m.released = MAX(m.released) RETURN m.title",
     "MATCH (m:Movie) WITH max(m.released) AS max_released MATCH (m:Movie) WHERE m.released = max_released RETURN m.title"),
    (mend_late_where, FILMS, "", f"{DIRECTED} RETURN p.name, count(m) AS n ORDER BY n DESC WHERE n > 3",
     f"{DIRECTED} RETURN p.name, count(m) AS n ORDER BY n DESC HAVING n > 3"),
    (mend_lost_conditions, FILMS, "", f"{DIRECTED} WITH p, count(m) AS n WHERE n > 3 AND m.released > 2000 RETURN p.name",
     f"{DIRECTED} WHERE m.released > 2000 WITH p, count(m) AS n WHERE n > 3 RETURN p.name"),
    (mend_lost_groups, FILMS, "", "MATCH (m:Movie) WITH max(m.released) AS r WHERE m.released = r RETURN m.title",
     "MATCH (m:Movie) WITH max(m.released) AS r MATCH (m:Movie) WHERE m.released = r RETURN m.title"),
    (mend_lost_groups, FILMS, "", f"{DIRECTED} WITH p, count(m) AS n ORDER BY n LIMIT 1 RETURN p.name, n, m.title",
     f"{DIRECTED} WITH p, count(m) AS n, collect(DISTINCT m.title) AS title_list ORDER BY n LIMIT 1 RETURN p.name, n, title_list"),
    (mend_brackets, FILMS, "", "MATCH (p:Person)-[:DIRECTED]->(m:Movie RETURN p.name", f"{DIRECTED} RETURN p.name"),
    (mend_brackets, FILMS, "", f"{DIRECTED} RETURN p.name)", f"{DIRECTED} RETURN p.name"),
    (mend_compared_entries, FILMS, "", "MATCH (p:Person {name: 'x', born > 1960}) RETURN p",
     "MATCH (p:Person {name: 'x'}) WHERE p.born > 1960 RETURN p"),
    (mend_compared_entries, FILMS, "", "MATCH (p:Person {born: >= 1960})-[:DIRECTED]->(m) WHERE m.released < 9 RETURN p",
     "MATCH (p:Person)-[:DIRECTED]->(m) WHERE p.born >= 1960 AND m.released < 9 RETURN p"),
    (mend_words_of_sql, FILMS, "", "MATCH (m:Movie) WHERE m.title = 'A' OR 'B' RETURN TOP 5 m.title",
     "MATCH (m:Movie) WHERE m.title IN ['A', 'B'] RETURN m.title LIMIT 5"),
    (mend_words_of_sql, FILMS, "", "MATCH (p:Person) WHERE EXISTS(p.born) AND NOT EXISTS(p.name) RETURN p",
     "MATCH (p:Person) WHERE p.born IS NOT NULL AND p.name IS NULL RETURN p"),
    (mend_unbound_variables, FILMS, "", f"{REVIEWED} RETURN m.title, avg(r.rating)",
     "MATCH (p:Person)-[r:REVIEWED]->(m:Movie) RETURN m.title, avg(r.rating)"),
    (mend_unbound_variables, FILMS, "", "MATCH (person:Person) RETURN p.born", "MATCH (person:Person) RETURN person.born"),
    (mend_grouped_ordering, FILMS, "", "MATCH (m:Movie) RETURN DISTINCT m.title ORDER BY m.released",
     "MATCH (m:Movie) RETURN DISTINCT m.title, m.released ORDER BY m.released"),
    (mend_functions, FILMS, "", "MATCH (p:Person) RETURN p.name, COUNT((p)-[:FOLLOWS]->()) AS n",
     "MATCH (p:Person) RETURN p.name, COUNT { (p)-[:FOLLOWS]->() } AS n"),
    (mend_functions, FILMS, "", f"{DIRECTED} WHERE size(m) > 3 RETURN p", f"{DIRECTED} WHERE count(m) > 3 RETURN p"),
    (mend_with_columns, FILMS, "", f"{DIRECTED} WITH p.name, p.born ORDER BY p.born RETURN p.name, p.born",
     f"{DIRECTED} WITH p ORDER BY p.born RETURN p.name, p.born"),
    (mend_with_columns, FILMS, "", f"{DIRECTED} WITH p.name, count(m) ORDER BY count(m) DESC RETURN p.name, count(m)",
     f"{DIRECTED} WITH p.name AS name, count(m) AS m_count ORDER BY m_count DESC RETURN name, m_count"),
    (mend_with_columns, FILMS, "", "MATCH (p:Person) WITH DISTINCT p.born RETURN p.born",
     "MATCH (p:Person) WITH DISTINCT p.born AS born RETURN born"),
    (mend_lost_variables, FILMS, "", f"{DIRECTED} WITH p ORDER BY p.born LIMIT 3 RETURN p.name, m.title",
     f"{DIRECTED} WITH p, m ORDER BY p.born LIMIT 3 RETURN p.name, m.title"),
    (mend_bare_properties, FILMS, "", "MATCH (p:Person) WHERE born > 1960 RETURN name ORDER BY born",
     "MATCH (p:Person) WHERE p.born > 1960 RETURN p.name ORDER BY p.born"),
    (mend_conditions_that_bind, FILMS, "", f"{DIRECTED} WHERE (p)-[:ACTED_IN]->(n:Movie) RETURN p.name",
     f"{DIRECTED} WHERE EXISTS {{ (p)-[:ACTED_IN]->(n:Movie) }} RETURN p.name"),
    (mend_conditions_that_bind, FILMS, "", f"{DIRECTED} WHERE m.released > 1990 AND (p)-[:ACTED_IN]->(n:Movie) RETURN p, n",
     "MATCH (p:Person)-[:DIRECTED]->(m:Movie), (p)-[:ACTED_IN]->(n:Movie) WHERE m.released > 1990 RETURN p, n"),
    (mend_steps, SHOP, "Which orders went to France?", "MATCH (o:Order)-[:SHIPPED]->(c:Category) WHERE o.city = 'x' RETURN o",
     "MATCH (o:Order) WHERE o.city = 'x' RETURN o"),
    (mend_steps, SHOP, "", "MATCH (p:Product)-[:PART_OF]->(c:Category)<-[:ORDERS]-(o:Order) RETURN p, count(o)",
     "MATCH (p:Product)-[:PART_OF]->(c:Category), (p)<-[:ORDERS]-(o:Order) RETURN p, count(o)"),
    (mend_years, DATED, "", "MATCH (o:Order {city: 'x', orderDate: '1997'}) RETURN o",
     "MATCH (o:Order {city: 'x'}) WHERE o.orderDate STARTS WITH '1997' RETURN o"),
    (mend_years, DATED, "", "MATCH (o:Order) WHERE o.orderDate = '1997-05' AND o.city = 'x' RETURN o",
     "MATCH (o:Order) WHERE o.orderDate STARTS WITH '1997-05' AND o.city = 'x' RETURN o"),
    (mend_code_columns, SHOP, "Which products are dear?", "MATCH (p:Product) RETURN p.productID, avg(p.unitPrice)",
     "MATCH (p:Product) RETURN p.productName, avg(p.unitPrice)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("repair", "schema", "question", "cypher", "expected"),
    MENDED,
    ids=[f"{one[0].__name__}-{n}" for n, one in enumerate(MENDED)],
)
def test_a_repair_mends_what_models_write(repair, schema, question, cypher, expected):
    repaired = repair(cypher, schema, question)
    assert " ".join(repaired.cypher.split()) == expected
    assert repaired.notes
    again = repair(repaired.cypher, schema, question)
    assert " ".join(again.cypher.split()) == expected


RIGHT = [
    (FILMS, "MATCH (p:Person {name: \"It's\"})-[r:ACTED_IN]->(m:Movie) WHERE 'Neo' IN r.roles RETURN p.name"),
    (FILMS, "MATCH (p:Person) WHERE EXISTS { (p)-[:DIRECTED]->(:Movie) } RETURN p.name, p.born"),
    (FILMS, "MATCH (p:Person)-[:FOLLOWS*1..3]->(q:Person) WITH q, count(p) AS n WHERE n > 1 RETURN q.name, n"),
    (FILMS, "MATCH (m:Movie) WHERE m.title STARTS WITH 'The' OR m.released IN [1999, 2000] RETURN m.title"),
    (FILMS, "MATCH (m:Movie) WHERE m.title = \"a = 'b' OR 'c'\" AND m.tagline CONTAINS 'IS 3' RETURN m.title"),
    (FILMS, "MATCH (m:Movie) WITH max(m.released) AS r MATCH (m:Movie) WHERE m.released = r RETURN m.title"),
    (FILMS, "MATCH (p:Person)-[:DIRECTED]->(m:Movie) WITH p, collect(m.title) AS titles WHERE size(titles) > 1 RETURN p.name, titles"),
    (FILMS, "MATCH (p:Person)-[:DIRECTED]->(m:Movie) WHERE (p)-[:ACTED_IN]->(m) RETURN p.name"),
    (FILMS, "MATCH (p:Person) WITH p.born AS born, collect(p.name) AS names UNWIND names AS name RETURN born, name"),
    (FILMS, "MATCH (p:Person) RETURN [born IN collect(p.born) WHERE born > 1960] AS years"),
    (SHOP, "MATCH (c:Customer)-[:PURCHASED]->(:Order)-[o:ORDERS]->(p:Product) RETURN p.productName, sum(o.quantity) AS n"),
    (FILMS, "MATCH (p:Person) RETURN CASE p.name WHEN 'a' THEN 'x' WHEN 'b' THEN 'y' END AS z"),
    (FILMS, "MATCH (p:Person) RETURN 'abc'[0..1] AS a"),
    (FILMS, "MATCH (p:Person) WHERE p.name CONTAINS 'YEAR(p.born)' RETURN p.name"),
    (FILMS, "MATCH (`the person`:Person) WITH `the person`, `the person`.born AS `year b` WHERE `year b` > 1960 RETURN `the person`.name"),
    (FILMS, "MATCH (`the person`:Person)-[:ACTED_IN]->(m:Movie) WITH `the person`, count(m) AS n WHERE n > 2 RETURN `the person`.name, n"),
    (FILMS, "MATCH (a:Person)-[:FOLLOWS]->{1,3}(b:Person) RETURN b.name"),
    (FILMS, "MATCH (p:Person)-[:FOLLOWS]->+(q:Person) RETURN q.name"),
    (FILMS, "MATCH (a:Person)((x:Person)-[f:FOLLOWS]->(y:Person)){1,3}(b:Person) RETURN a.name, size(x), [n IN x | n.name]"),
    (FILMS, "MATCH (p:Person)-[f:FOLLOWS WHERE p.born > 1]->(q:Person WHERE q.born > 1960) RETURN p.name, q.name"),
    (FILMS, "MATCH (n:!Movie) RETURN n.name"),
    (FILMS, "MATCH (p:Person)-[:ACTED_IN]->(m:Movie) WITH p, collect(m) AS ms WHERE size(ms) > 2 UNWIND ms AS m RETURN p.name, m.title"),
    (FILMS, "MATCH (p:Person)-[:ACTED_IN]->(m:Movie) WITH p, collect(m) AS ms RETURN p.name, [m IN ms WHERE m.released > 2000 | m.title] AS titles"),
    (FILMS, "MATCH (p:Person)-[:ACTED_IN]->(m:Movie) WITH p, collect({titel: m.title, year: m.released}) AS ms UNWIND ms AS m RETURN p.name, m.titel, m.year"),
    (FILMS, "MATCH (p:Person) WITH collect(p) AS people, avg(p.born) AS a UNWIND people AS p WITH p, a WHERE p.born > a RETURN p.name"),
    (FILMS, "MATCH (m:Movie) WITH count(m) AS total MATCH (m:Movie) WHERE m.released > 2000 RETURN count(m) AS n, total"),
    (FILMS, "MATCH (p:Person)-[:ACTED_IN]->(m:Movie) WITH m, count(p) AS n MATCH (m)<-[:DIRECTED]-(p) WHERE p.born > 1960 RETURN m.title, n, p.name"),
    (FILMS, "MATCH (released:Movie) WITH max(released.released) AS latest RETURN latest AS released"),
    (FILMS, "MATCH (p:Person)-[:ACTED_IN]->(m:Movie) WITH p, [1, 2] AS xs UNWIND xs AS m RETURN p.name, m"),
    (FILMS, "MATCH (t:Person) CALL (t) { WITH t.born AS year MATCH (p:Person {born: year}) RETURN count(p) AS n } RETURN t.name, n"),
    (FILMS, "CALL db.labels() YIELD label MATCH (p:Person {name: label}) RETURN p.name"),
    (FILMS, "MATCH (p:Person) RETURN NOT EXISTS { (p)-[:DIRECTED]->() } AS no"),
    (FILMS, "MATCH (p:Person) WHERE duration.between(date({year: p.born, month: 1, day: 1}), date()).years > 30 AND p.name = 'x' RETURN p.name"),
    (FILMS, "MATCH (m:Movie) WITH collect(m) AS m RETURN size(m) AS n"),
    (FILMS, "MATCH (m:Movie) RETURN DISTINCT toLower(m.title) AS t ORDER BY toLower(m.title)"),
    (FILMS, "MATCH (m:Movie) RETURN m.released / 10 AS decade, count(*) AS n ORDER BY m.released / 10"),
    (FILMS, "MATCH (m:Movie) WITH m AS film MATCH (p:Person) WHERE (p)-[:ACTED_IN]->(film) RETURN p.name, film.title"),
    (FILMS, "MATCH (p:Person) WITH collect(p) AS ps UNWIND ps AS a UNWIND ps AS b WITH a, b WHERE (a)-[:FOLLOWS]->(b) RETURN a.name, b.name"),
    (FILMS, "MATCH (p:Person) WHERE size(p.name) = 5 RETURN p.name"),
    (FILMS, "MATCH (p:Person) WHERE substring(p.name, 0, 1) = 'A' RETURN p.name"),
    (FILMS, "MATCH (p:Person) WHERE p.name[0] = 'A' RETURN p.name"),
    (FILMS, "MATCH (p:Person) WITH p.name AS name, count(*) AS offset RETURN name, offset ORDER BY offset DESC"),
    (SHOP, "MATCH (o:Order) WHERE date(o.orderDate).year = 1997 RETURN o.orderID"),
    (SHOP, "MATCH (p:Product) WHERE toInteger(p.weight) = 20 RETURN p.productName"),
    (DATED, "MATCH (o:Order) WHERE toInteger(substring(o.orderDate, 0, 4)) = 1997 RETURN o.city"),
    (DATED, "MATCH (o:Order) WHERE left(o.orderDate, 4) = '1997' RETURN o.city"),
    (TASKS, "MATCH (t:Task) RETURN CASE WHEN t.score > 1 THEN 'a' ELSE 'b' end AS x"),
    (TASKS, "MATCH (t:Task) RETURN t.title, t.score AS score ORDER BY score desc"),
    (TASKS, "CALL db.index.fulltext.queryNodes('tasks', 'x') YIELD node, score MATCH (t:Task) WHERE t = node RETURN t.title, score"),
    (TASKS, "MATCH (t:Task) LET score = t.score * 2 RETURN score"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "cypher"), RIGHT)
def test_what_is_right_stays_as_it_is(schema, cypher):
    repaired = repair_cypher(cypher, schema, "Tell me about it")
    assert repaired.cypher == cypher
    assert repaired.notes == ()
    assert check_cypher(cypher, schema) == []


CHOSEN = [
    ("List the first 3 films in which Tom Hanks acted.", "MATCH (p:Person {name: 'Tom Hanks'})-[:ACTED_IN]->(m:Movie) RETURN m.title LIMIT 3"),
    ("Which movies has Tom Hanks acted in?", "MATCH (p:Person {name: 'Tom Hanks'})-[:ACTED_IN]->(m:Movie) RETURN m.title AS MovieTitle"),
    ("Which movies were written and directed by one person and what are their titles?", "MATCH (p:Person)-[:DIRECTED]->(m:Movie)<-[:ACTED_IN]-(p) RETURN m.title"),
    ("Which movie has the tagline 'Back again'?", "MATCH (m:Movie {tagline: 'Back again'}) RETURN m.title"),
    ("List the films of 1999.", "MATCH (m:Movie) WHERE m.released = 1999 RETURN m.title AS film"),
    ("List the people born in the 1960s who have directed a movie.", "MATCH (p:Person)-[:DIRECTED]->(:Movie) WHERE p.born >= 1960 AND p.born <= 1969 RETURN p.name, p.born"),
    ("Which movie has the most roles and what are those roles?", "MATCH (p:Person)-[r:ACTED_IN]->(m:Movie) RETURN m.title AS Movie, r.roles AS Roles ORDER BY size(r.roles) DESC LIMIT 1"),
    ("What are the longest taglines?", "MATCH (m:Movie) RETURN m.tagline ORDER BY size(m.tagline) DESC"),
    ("What are the names of the top 3 oldest directors and their films?", "MATCH (p:Person)-[:DIRECTED]->(m:Movie) RETURN p.name, m.title ORDER BY p.born LIMIT 3"),
    ("What are the 3 newest movies?", "MATCH (m:Movie) RETURN m ORDER BY m.released DESC LIMIT 3"),
    ("What are the first 3 movies of 2008?", "MATCH (m:Movie) WHERE m.released = 2008 RETURN m ORDER BY m.title LIMIT 3"),
    ("Who directed something?", "MATCH (p:Person)-[:DIRECTED]->(:Movie) RETURN p"),
    ("Find all people who follow each other.", "MATCH (p:Person)-[:FOLLOWS]->(q:Person)-[:FOLLOWS]->(p) RETURN p, q"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "cypher"), CHOSEN)
def test_columns_that_were_chosen_stay(question, cypher):
    repaired = repair_cypher(cypher, FILMS, question)
    assert repaired.cypher == cypher
    assert repaired.notes == ()


def test_what_is_matched_again_is_filtered_again():
    cypher = f"{ACTED} WHERE p.name = 'x' WITH max(m.released) AS r WHERE m.released = r RETURN m"
    mended = mend_lost_groups(cypher, FILMS, "").cypher
    again = f"{ACTED} WHERE p.name = 'x' AND m.released = r RETURN m"
    assert " ".join(mended.split()) == f"{cypher.partition(' WHERE m')[0]} {again}"


def test_a_comment_swallows_nothing_that_a_repair_puts_behind_it():
    cypher = "MATCH (p:Person) // it's all\nRETURN p.name // names"
    repaired = repair_cypher(cypher, FILMS, "Name 3 people")
    assert " ".join(repaired.cypher.split()) == "MATCH (p:Person) RETURN p.name LIMIT 3"


@pytest.mark.parametrize(
    "cypher",
    ["' (t:Person) MATCH'", "MATCH (p:Person) RETURN DISTINCT ORDER BY p.born", "{ RETURN 1 AS x }", "MATCH (m:Movie) RETURN m AS `a(`, count(*) AS `n(` WHERE `n(` > 1",
     "MATCH (p:Person) WITH p, collect(m) p.rating AS ms WHERE any(m MATCH (p:Person)-[r:FOLLOWS*1..3]->(q) WHERE all(r IN ms WHE:E m.released > 2000) MATCH (t:Person {name: 'Tom'}), RETURN p.name"],
)  # fmt: skip
def test_garbage_breaks_no_repair(cypher):
    repaired = repair_cypher(cypher, FILMS, "Tell me about it").cypher
    drop_foreign_literals(repaired, FILMS, "Tell me about it")
    check_cypher(repaired, FILMS)


@pytest.mark.parametrize(
    ("reply", "cypher"),
    [
        ("```cypher\nMATCH (n) RETURN n;\n```\nThis finds all.", "MATCH (n) RETURN n"),
        ("Answer: MATCH (n) RETURN n<|im_end|>\n<|im_start|>user", "MATCH (n) RETURN n"),
        ("Here is the query:\nMATCH (n) RETURN n\n\nThis query returns all.", "MATCH (n) RETURN n"),
        ('{"cypher": "MATCH (n) RETURN n"}', "MATCH (n) RETURN n"),
        ("查询语句：\nMATCH (n) RETURN n\n说明：所有节点", "MATCH (n) RETURN n"),
        ("MATCH (n {a: ';'}) RETURN n; MATCH (m) DELETE m", "MATCH (n {a: ';'}) RETURN n"),
        ("MATCH (n) RETURN n.born AS `birth year`", "MATCH (n) RETURN n.born AS `birth year`"),
        ("`MATCH (n) RETURN n.born AS `birth year``", "MATCH (n) RETURN n.born AS `birth year`"),
        ("`MATCH (n) RETURN n`", "MATCH (n) RETURN n"),
        ("MATCH (n) RETURN n\n```", "MATCH (n) RETURN n"),
        ("NONE", ""),
        ("I am sorry, I can not help.", ""),
    ],
)
def test_the_statement_of_a_reply(reply, cypher):
    assert cypher_of_reply(reply) == cypher


@pytest.mark.parametrize(
    ("cypher", "problem"),
    [
        ("MATCH (m:Film) RETURN m", "There is no label Film."),
        ("MATCH (m:Movie) RETURN m.votes", "Movie has no property votes. It has title"),
        ("MATCH (p:Person) RETURN p.rating", "that is a property of REVIEWED"),
        ("MATCH (m:Movie)-[:FOLLOWS]->(n:Movie) RETURN m", "There is (:Person)-[:FOLLOWS]->(:Person)"),
        ("MATCH (m:Movie {title: $t}) RETURN m", "Nobody gives the parameter $t"),
        ("MATCH (m:Movie)", "has to end with RETURN"),
    ],
)  # fmt: skip
def test_a_check_says_what_there_is_instead(cypher, problem):
    (told,) = check_cypher(cypher, FILMS)
    assert problem in told


def test_a_condition_whose_value_comes_from_nowhere_goes():
    cypher = (
        "MATCH (p:Product)-[:PART_OF]->(c:Category {categoryName: 'Beverages'}) "
        "WHERE p.unitPrice > 20 AND p.weight < 7 RETURN p"
    )
    question = "Which products cost more than 20?"
    dropped = drop_foreign_literals(cypher, SHOP, question)
    assert dropped.cypher == (
        "MATCH (p:Product)-[:PART_OF]->(c:Category) WHERE p.unitPrice > 20 RETURN p"
    )
    assert len(dropped.notes) == 2
    kept = drop_foreign_literals(cypher, SHOP, question + " under 7", allowed=["beverages"])
    assert kept.cypher == cypher


@pytest.mark.parametrize(
    ("question", "condition"),
    [
        ("films of the 1990s", "m.released >= 1990 AND m.released < 2000"),
        ("films by tom hanks", "m.title = 'Tom Hanks'"),
        ("more than two films", "m.released > 2"),
        ("二十世纪的电影《红高粱》", "m.title = '红高粱'"),
        ("films with 5 million", "m.released > 5000000"),
        ("films whose tagline says 'romp'", "m.tagline = 'A solid romp'"),
    ],
)
def test_what_the_question_says_or_implies_has_an_origin(question, condition):
    cypher = f"MATCH (m:Movie) WHERE {condition} RETURN m"
    assert drop_foreign_literals(cypher, FILMS, question).cypher == cypher


def test_a_parameter_has_the_value_that_its_literal_stands_for():
    written = "MATCH (m:Movie) WHERE m.title = '\\u4e2d\\n' AND m.released = 0x7CF RETURN m"
    assert with_parameters(written)[1] == {"title": "中\n", "released": 1999}


def test_literals_become_parameters_named_for_their_property():
    cypher, values = with_parameters(
        "MATCH (p:Person {name: 'A \\'b\\''})-[:ACTED_IN]->(m:Movie) "
        'WHERE m.released >= 1990 AND m.released < 2000 AND m.title STARTS WITH "T" '
        "RETURN 'x' AS x, m.title LIMIT 3"
    )
    assert cypher == (
        "MATCH (p:Person {name: $name})-[:ACTED_IN]->(m:Movie) "
        "WHERE m.released >= $released AND m.released < $released_2 AND m.title STARTS WITH $title "
        "RETURN 'x' AS x, m.title LIMIT 3"
    )
    assert values == {"name": "A 'b'", "released": 1990, "released_2": 2000, "title": "T"}
