import stat

import pytest

from langchain_graft.cli.main import main
from langchain_graft.errors import LocalNeo4jError
from langchain_graft.graph import LocalNeo4j, local_neo4j
from langchain_graft.graph.local_neo4j import find_running, last_lines, stop_neo4j


@pytest.mark.parametrize("heap", ["", "1", "g", "0g", "1 g", "-1g", "1g -version"])
def test_a_heap_is_a_number_with_a_unit(tmp_path, heap):
    with pytest.raises(ValueError, match="heap must be a number with k, m or g"):
        LocalNeo4j(tmp_path, heap=heap)


def test_a_plugin_has_a_name_that_is_known(tmp_path):
    with pytest.raises(ValueError, match=r"No plugin 'gds'. Known: apoc"):
        LocalNeo4j(tmp_path, plugins=["gds"])


def test_before_the_start_it_has_no_address(tmp_path):
    with pytest.raises(LocalNeo4jError, match=r"is not started. Call start\(\)"):
        _ = LocalNeo4j(tmp_path).uri
    with pytest.raises(LocalNeo4jError, match="has no password"):
        _ = LocalNeo4j(tmp_path).password


def test_a_password_is_made_once_and_its_owners(tmp_path):
    local_neo4j._make(tmp_path)
    password = LocalNeo4j(tmp_path).password
    local_neo4j._make(tmp_path)
    assert LocalNeo4j(tmp_path).password == password
    assert len(password) >= 24
    for name in ("password", "data/dbms/auth.ini"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert password not in (tmp_path / "data/dbms/auth.ini").read_text()


def test_a_database_without_its_password_is_not_started(tmp_path):
    (tmp_path / "data/databases").mkdir(parents=True)
    with pytest.raises(LocalNeo4jError, match="holds a database but not its password"):
        local_neo4j._make(tmp_path)


def test_a_port_that_was_used_is_used_again_where_it_is_free():
    port = local_neo4j._free_port(0)
    assert local_neo4j._free_port(port) == port


def test_nothing_runs_over_an_empty_folder(tmp_path):
    assert find_running(tmp_path) is None
    assert stop_neo4j(tmp_path) is False
    assert last_lines(tmp_path) == "(nothing)"


def test_the_command_says_that_nothing_runs(tmp_path, capsys):
    assert main(["neo4j", "status", "--folder", str(tmp_path)]) == 1
    assert "No Neo4j runs over" in capsys.readouterr().out
    assert main(["neo4j", "stop", "--folder", str(tmp_path), "--json"]) == 0
    assert '"stopped": false' in capsys.readouterr().out
    assert main(["neo4j", "logs", "--folder", str(tmp_path)]) == 0
