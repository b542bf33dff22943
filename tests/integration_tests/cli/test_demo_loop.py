"""The demo's loop on a few documents: learned, measured, live under questions, gone back from."""

import json
from contextlib import nullcontext

from langchain_graft.cli import demo_loop
from langchain_graft.cli.console import ERR
from langchain_graft.knowledge_base import KnowledgeBase

TOPICS = "apples bridges clouds dogs engines forests glaciers harbours islands jungles".split()
COLOURS = "amber black coral denim ebony green".split()


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")


def make_examples(folder):
    """Documents whose keepers are asked for by a word that only learning ties to them."""
    (folder / "corpus").mkdir(parents=True)
    rows, questions = [], []
    for n, topic in enumerate(TOPICS):
        for colour in COLOURS:
            name = f"{topic}-{colour}.md"
            text = f"The {colour} archive on {topic} lies on floor {n}."
            (folder / "corpus" / name).write_text(text, encoding="utf-8")
            query = f"Where is the zarf of {topic}, {colour}?"
            rows.append({"query": query, "positive": text, "group": name})
            asked = f"I look for the {colour} {topic} zarf"
            questions.append({"question": asked, "documents": [name], "answers": [str(n)]})
    write(folder / demo_loop.ROWS, rows)
    write(folder / demo_loop.QUESTIONS, questions)
    write(folder / demo_loop.SETTINGS, [{"epochs": 1, "batch_size": 32, "threads": 1}])
    return folder


def test_the_loop_comes_round(tmp_path):
    folder = tmp_path / "kb"
    told = demo_loop.run(
        folder,
        make_examples(tmp_path / "examples"),
        generate=None,
        model="",
        say=ERR,
        clock=lambda _: nullcontext(),
    )
    assert (told["rows"], told["adapter"]) == (60, "demo@000001")
    assert [one["role"] for one in told["gate"]] == ["target", "guard"]
    assert told["release"] == (0 if told["refused"] else 1)
    assert told["after_rollback"] == 0
    threads = told["threads"]
    assert (threads["failed"], threads["mixed"]) == (0, 0)
    assert threads["answers"] >= 8
    assert threads["by_release"]["0"] > 0
    with_release = KnowledgeBase.open(folder)
    assert with_release.release.number == 0
    with_release.close()
    json.dumps(told)
