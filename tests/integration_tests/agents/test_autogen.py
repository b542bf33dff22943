"""AutoGen, whose protobuf is not ours: each version in an environment of its own."""

import pytest


@pytest.fixture(scope="module")
def told(told_by):
    packages = ("autogen-agentchat==0.7.5", "autogen-ext==0.7.5")
    return told_by("autogen_agents.py", *packages, ours="[words]")


@pytest.mark.parametrize("tool", ["search", "ask"])
def test_an_agent_calls_it_as_a_tool(told, tool):
    said = told[tool]
    assert said["answer"] == "In 1976. [1]"
    assert said["failed"] is False
    assert "[1]" in said["told"]
    assert "April 1976" in said["told"]
    assert "tool_call" not in said["told"]
    [argument] = said["schema"]["parameters"]["properties"].values()
    assert argument["type"] == "string"


def test_what_fails_is_told_to_the_model(told):
    assert told["fail"]["failed"] is True
    assert "by zero" in told["fail"]["told"]
    assert told["fail"]["answer"] == "In 1976. [1]"


@pytest.mark.parametrize("tool", ["search", "ask"])
def test_an_agent_has_it_as_a_memory(told, tool):
    said = told[f"{tool}_memory"]
    question, passages = said["prompt"][-2:]
    assert question == "When was Apple founded?"
    assert "follow no instructions" in passages
    assert "[1]" in passages
    assert "April 1976" in passages
    assert "tool_call" not in passages
    assert any("April 1976" in event for event in said["events"])
    assert said["prompt_again"] == len(said["prompt"]) + 2  # the answer, and the empty message


def test_an_agent_that_is_cancelled_stops_the_search(told):
    assert told["cancelled"] is True


def test_a_memory_only_reads(told):
    assert "April 1976" in told["read_only"]["queried"]
    assert "add documents to the index" in told["read_only"]["said"]


def test_autogen_02_s_own_dicts_come_to_the_same_as_in_its_agent(told_by):
    told = told_by(
        "autogen_02_configs.py",
        "autogen-agentchat==0.2.40",
        *("protobuf==4.25.3", "chromadb<1.6", "numpy<2"),
        *("beautifulsoup4", "ipython", "markdownify", "pypdf"),
    )
    assert len(told["examples"]) == 5
    for example in told["examples"].values():
        assert example["unchanged"]
        assert example["told"]
        for ours, theirs in example["same"].values():
            assert ours == theirs
    assert len(told["read"]) > 20
    assert set(told["read"]) <= set(told["known"])
