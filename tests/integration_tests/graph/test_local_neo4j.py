import json
import os
import signal
import stat
import subprocess
import sys
import time

import neo4j
import pytest

from langchain_graft.cli.main import main
from langchain_graft.errors import LocalNeo4jError
from langchain_graft.graph.local_neo4j import LocalNeo4j, find_running, stop_neo4j

pytestmark = pytest.mark.neo4j


def ask(server, cypher, **parameters):
    with neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver:
        return [record.data() for record in driver.execute_query(cypher, parameters).records]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("neo4j") / "图 graph"


def test_what_it_holds_is_there_after_the_next_start(folder):
    with LocalNeo4j(folder, heap="512m") as server:
        ask(server, "CREATE (:Company {name: $name})", name="苹果")
        first = server.uri
    with LocalNeo4j(folder, heap="512m") as server:
        assert ask(server, "MATCH (n:Company) RETURN n.name AS name") == [{"name": "苹果"}]
        assert server.uri == first
    assert find_running(folder) is None


def test_it_listens_on_loopback_alone_behind_a_password_of_its_owner(folder):
    with LocalNeo4j(folder, heap="512m") as server:
        assert server.uri.startswith("bolt://127.0.0.1:")
        assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
        wrong = neo4j.GraphDatabase.driver(server.uri, auth=("neo4j", "neo4j"))
        with wrong, pytest.raises(neo4j.exceptions.AuthError):
            wrong.verify_connectivity()
        settings = ask(
            server,
            "SHOW SETTINGS 'dbms.usage_report.enabled', 'server.directories.import' "
            "YIELD name, value RETURN value ORDER BY name",
        )
        assert [row["value"] for row in settings] == ["false", str(folder / "import")]


def test_a_folder_has_one_server_and_who_holds_it_is_said(neo4j_servers):
    held = neo4j_servers.get("2026.09.0")
    place = neo4j_servers._local["2026.09.0"].folder
    with pytest.raises(LocalNeo4jError, match=f"held by process [0-9]+.*{held.uri}"):
        LocalNeo4j(place).start()


def test_two_at_once_know_nothing_of_each_other(neo4j_servers):
    first, second = (neo4j_servers.get(version) for version in ("2026.09.0", "5.26.28"))
    assert first.uri != second.uri
    ask(first, "CREATE (:OnlyHere)")
    assert ask(second, "MATCH (n:OnlyHere) RETURN count(n) AS n") == [{"n": 0}]
    ask(first, "MATCH (n:OnlyHere) DELETE n")


def test_a_killed_server_is_noticed_and_its_data_kept(folder):
    server = LocalNeo4j(folder, heap="512m").start()
    ask(server, "MERGE (:Kept)")
    os.kill(server.pid, signal.SIGKILL)
    while server.pid is not None:
        time.sleep(0.05)
    with pytest.raises(LocalNeo4jError, match=r"(?s)killed by signal 9.*start it again.*log:"):
        server.check()
    with pytest.raises(LocalNeo4jError, match="killed by signal 9"):
        _ = server.uri
    server.stop()
    with LocalNeo4j(folder, heap="512m") as again:
        assert ask(again, "MATCH (n:Kept) RETURN count(n) AS n") == [{"n": 1}]


def test_a_detached_one_is_found_and_stopped(folder):
    LocalNeo4j(folder, heap="512m").start(detached=True)
    found = find_running(folder)
    assert found.ready
    assert ask(found, "RETURN 1 AS x") == [{"x": 1}]
    assert stop_neo4j(folder)
    assert find_running(folder) is None
    assert not stop_neo4j(folder)


def test_what_the_jvm_can_not_do_is_told_with_its_own_words(tmp_path):
    with pytest.raises(LocalNeo4jError, match=r"(?s)ended with code.*heap='1k'.*heap"):
        LocalNeo4j(tmp_path, heap="1k").start()


def test_before_the_start_it_has_no_address(tmp_path):
    with pytest.raises(LocalNeo4jError, match="not started"):
        _ = LocalNeo4j(tmp_path).uri


def test_the_command_starts_tells_and_stops(folder, capsys):
    place = ["--folder", str(folder), "--json"]
    assert main(["neo4j", "start", "--heap", "512m", *place]) == 0
    started = json.loads(capsys.readouterr().out)
    assert main(["neo4j", "start", *place]) == 0  # it runs already
    assert json.loads(capsys.readouterr().out) == started
    assert main(["neo4j", "status", *place]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["running"], found["ready"], found["version"]) == (True, True, "2026.09.0")
    use = found["environment"]
    auth = (use["NEO4J_USERNAME"], use["NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(use["NEO4J_URI"], auth=auth) as driver:
        driver.verify_connectivity()
    assert main(["neo4j", "logs", *place]) == 0
    assert "logs/debug.log" in json.loads(capsys.readouterr().out)
    assert main(["neo4j", "stop", *place]) == 0
    assert main(["neo4j", "status", *place]) == 1


CHILD = """
import os, sys
from langchain_graft.graph import LocalNeo4j
with LocalNeo4j(sys.argv[1], heap="512m") as server:
    print(server.pid, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_server_ends_with_the_process_that_started_it(folder):
    asked = [sys.executable, "-c", CHILD, str(folder)]
    run = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert run.stdout.strip().isdecimal(), run.stderr
    over = time.monotonic() + 60
    while find_running(folder) is not None:
        assert time.monotonic() < over
        time.sleep(0.1)
