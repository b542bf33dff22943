"""text2cypher on a Neo4j of its own: the model writes Cypher, code mends, checks and runs it."""

import sys
import tempfile

from langchain_core.documents import Document

from langchain_graft import load_chat_model
from langchain_graft.chains import create_text2cypher_chain
from langchain_graft.errors import ReplyError
from langchain_graft.graph import GraphDocument, LocalNeo4j, Neo4jGraphStore, Node, Relationship

sold = {"Altair 8800": ("MITS", 1975), "Apple I": ("Apple", 1976), "Apple II": ("Apple", 1977)}
made = [GraphDocument(
    nodes=(Node(id=name, label="Machine", name=name, properties={"year": year}),
           Node(id=maker, label="Company", name=maker)),
    relationships=(Relationship(source=maker, target=name, type="SOLD"),),
    source=Document(id=name, page_content=f"{maker} sold the {name} in {year}."),
) for name, (maker, year) in sold.items()]  # fmt: skip

with tempfile.TemporaryDirectory() as folder, LocalNeo4j(folder) as neo4j:
    graph = Neo4jGraphStore(neo4j.uri, user=neo4j.user, password=neo4j.password)
    graph.add(made)
    model = load_chat_model(sys.argv[1] if len(sys.argv) > 1 else "qwen2.5-coder-1.5b")
    try:
        output = create_text2cypher_chain(model, graph).invoke("Which machines did Apple sell?")
        print(output["cypher"], output["rows"], output["answer"], sep="\n")
    except ReplyError as error:  # a very small model
        print(error)
