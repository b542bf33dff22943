"""Two real Neo4js, started when first asked for; or the one that NEO4J_URI names."""

import os
from dataclasses import dataclass
from pathlib import Path

import neo4j as driver
import pytest

from langchain_graft.graph.local_neo4j import LocalNeo4j

VERSIONS = ("2026.09.0", "5.26.28")
NAMED = os.environ.get("NEO4J_URI")
MAY_EMPTY = "NEO4J_TESTS_MAY_EMPTY"


@dataclass(frozen=True)
class Server:
    """What a test needs to know of a server."""

    uri: str
    user: str
    password: str
    version: str
    folder: Path | None = None


class Servers:
    """The servers of this session, each started once."""

    def __init__(self, folders):
        self._folders = folders
        self._local = {}

    def get(self, version):
        if version not in self._local:
            folder = self._folders.mktemp(f"neo4j-{version}")
            self._local[version] = LocalNeo4j(folder, version=version, heap="512m").start()
        local = self._local[version]
        return Server(local.uri, local.user, local.password, version, local.folder)

    def stop(self):
        for local in self._local.values():
            local.stop()


@pytest.fixture(scope="session")
def neo4j_servers(tmp_path_factory):
    servers = Servers(tmp_path_factory)
    yield servers
    servers.stop()


@pytest.fixture(scope="session", params=["NEO4J_URI"] if NAMED else VERSIONS)
def neo4j_server(request, neo4j_servers):
    """A server with `uri`, `user`, `password` and `version`."""
    return named_server() if NAMED else neo4j_servers.get(request.param)


@pytest.fixture
def neo4j(neo4j_server):
    """The server, with nothing in its database."""
    empty(neo4j_server)
    return neo4j_server


@pytest.fixture(scope="session")
def empty_server():
    """Delete everything on a server."""
    return empty


def named_server():
    """The server that the environment names; the tests empty it, so they must be let."""
    if os.environ.get(MAY_EMPTY) != "1":
        pytest.fail(
            f"NEO4J_URI is set, and these tests delete everything in {NAMED}. Set {MAY_EMPTY}=1 "
            "to let them, or unset NEO4J_URI: then they start servers of their own."
        )
    user = os.environ.get("NEO4J_USERNAME", "neo4j")
    password = os.environ.get("NEO4J_PASSWORD", "")
    with driver.GraphDatabase.driver(NAMED, auth=(user, password)) as connection:
        found = connection.execute_query("CALL dbms.components() YIELD versions RETURN versions[0]")
    return Server(NAMED, user, password, found.records[0][0])


def empty(server):
    """Delete all nodes, relationships, constraints and indexes."""
    with driver.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as connection:
        run = connection.execute_query
        with connection.session() as session:
            session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS").consume()
        for row in run("SHOW CONSTRAINTS YIELD name").records:
            run(f"DROP CONSTRAINT `{row['name']}`")
        for row in run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name").records:
            run(f"DROP INDEX `{row['name']}`")
