"""Standard streams: results on stdout alone, progress on stderr, pipes that are closed."""

import json
import subprocess

import pytest

from langchain_graft.models.catalogue import CATALOGUE


def test_models_list_is_one_json_document(graft):
    rows = graft.json("models", "list")
    assert {row["name"] for row in rows} == set(CATALOGUE)
    assert all(row["bytes"] > 0 and row["licence"] for row in rows)
    assert "minilm" in graft("models", "list").stdout


def test_models_verify_says_ok_of_what_is_here(graft):
    graft("models", "pull", "minilm", "smollm2-135m")
    verdicts = graft.json("models", "verify", "minilm", "smollm2-135m")
    assert set(verdicts) == {"minilm", "smollm2-135m"}
    assert {verdict for files in verdicts.values() for verdict in files.values()} == {"ok"}
    assert "No model named 'none'" in graft("models", "verify", "none", code=2).stderr


def test_stdout_holds_the_result_and_stderr_the_progress(graft, documents):
    done = graft("ingest", documents, "--kb", "kb", "--json")
    assert json.loads(done.stdout)["added"] == 3
    assert "embed" in done.stderr
    one_stream = graft.start(
        "status", "--kb", "kb", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert "e5-multilingual" in one_stream.communicate(timeout=60)[0]


@pytest.mark.parametrize(
    "arguments",
    [("models", "list"), ("models", "list", "--json"), ("status", "--kb", "kb"), ("--help",)],
    ids=" ".join,
)
def test_a_closed_pipe_is_no_error(filled, arguments):
    running = filled.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running.stdout.close()
    assert running.wait(timeout=60) == 0
    assert running.stderr.read() == ""
    running.stderr.close()


def test_the_first_line_alone_can_be_read(filled):
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{filled.graft}' models list | head -1"],
        env=filled.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("Models (")
    assert done.stderr == ""
