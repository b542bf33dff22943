"""A graph of films and one of a shop, as schemas, and a graph that answers by a script."""

from langchain_graft.errors import CypherError
from langchain_graft.graph.read_result import ReadResult
from langchain_graft.graph.schema import NodeType, Property, RelationshipType, Schema


def properties(text):
    """`name STRING!, born INTEGER`; `!` marks a unique one."""
    pairs = [part.split() for part in text.split(",") if part.strip()]
    return tuple(
        Property(name=name, type=type_.rstrip("!"), unique=type_.endswith("!"))
        for name, type_ in pairs
    )


FILMS = Schema(
    nodes=(
        NodeType(label="Person", properties=properties("name STRING!, born INTEGER"), count=133),
        NodeType(
            label="Movie",
            properties=properties("title STRING!, released INTEGER, tagline STRING"),
            count=38,
        ),
    ),
    relationships=(
        RelationshipType(
            type="ACTED_IN",
            endpoints=(("Person", "Movie"),),
            properties=properties("roles LIST<STRING>"),
        ),
        RelationshipType(type="DIRECTED", endpoints=(("Person", "Movie"),)),
        RelationshipType(
            type="REVIEWED",
            endpoints=(("Person", "Movie"),),
            properties=properties("summary STRING, rating INTEGER"),
        ),
        RelationshipType(type="FOLLOWS", endpoints=(("Person", "Person"),)),
    ),
)
SHOP = Schema(
    nodes=(
        NodeType(
            label="Product",
            properties=(
                *properties("productID STRING!, productName STRING!, unitPrice FLOAT"),
                Property(name="weight", type="STRING", examples=("1.5", "20")),
                Property(name="discontinued", type="BOOLEAN"),
            ),
        ),
        NodeType(
            label="Category",
            properties=(Property(name="categoryName", type="STRING", values=("Beverages",)),),
        ),
        NodeType(
            label="Order",
            properties=properties("orderID STRING!, orderDate STRING, shipped DATE, city STRING"),
        ),
        NodeType(label="Customer", properties=properties("companyName STRING!, city STRING")),
    ),
    relationships=(
        RelationshipType(type="PART_OF", endpoints=(("Product", "Category"),)),
        RelationshipType(
            type="ORDERS",
            endpoints=(("Order", "Product"),),
            properties=properties("quantity INTEGER"),
        ),
        RelationshipType(type="PURCHASED", endpoints=(("Customer", "Order"),)),
    ),
)


class ScriptedGraph:
    """Gives rows by the statement's words: the first key that stands in it counts."""

    def __init__(self, schema=FILMS, rows=None, error=None, remarks=()):
        self.known, self.rows, self.error, self.asked = schema, rows or {}, error, []
        self.seconds = []
        self.remarks = remarks

    def schema(self, *, refresh=False):
        return self.known

    async def aschema(self, *, refresh=False):
        return self.known

    def read(self, cypher, parameters=None, *, timeout_seconds=30, row_limit=100):
        self.asked.append((cypher, dict(parameters or {})))
        self.seconds.append(timeout_seconds)
        if self.error and self.error[0] in cypher:
            raise CypherError(self.error[1], cypher=cypher)
        rows = next((rows for key, rows in self.rows.items() if key in cypher), [])
        keys = tuple(rows[0]) if rows else ()
        return ReadResult(
            cypher=cypher, keys=keys, rows=rows[:row_limit], notifications=self.remarks
        )

    async def aread(self, *args, **settings):
        return self.read(*args, **settings)

    @property
    def run(self):
        """What was run besides looking values up."""
        return [one for one in self.asked if "$spans" not in one[0] and "$word" not in one[0]]
