"""A small model that was tuned on one graph, beside itself untuned and a larger one, on Neo4j.

Pairs of neo4j-labs/text2cypher for the movies graph that run here and find rows, each question
once, and whose gold statement reads only what this graph has (many rank by votes, of which it has
none). A question that is held out shares neither its template (itself without names, numbers and
quotations) nor its statement's with any that was learned; 60 of them whose gold statement several
engines agree on are asked. Rows of training are, to the letter, the first prompts that the serving
chain sends on the live graph, with the gold statement as the reply. *Gold replies* says what the
chain makes of right statements.

*Exact*: the same rows of the same values, whatever the columns' order and names. *Covering*: as
many rows, and the first gold column of each found in a row. *As written*: the reply's statement is
run as it is; *in the chain*: after all that `create_text2cypher_chain` does to a statement, without
asking the model again. Intervals are bootstrapped over questions. Training and replies go on where
they were stopped, in a folder that is kept.

    python benchmarks/train_text2cypher.py [--model NAME] [--rows N] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.messages import convert_to_openai_messages
from langchain_core.runnables import RunnableLambda
from report import data_folder, finish, print_table
from text2cypher import VERSION, Pair, Rows, Server, gold_rows, is_covering, is_exact, load_graph

from langchain_graft import load_chat_model
from langchain_graft.errors import CypherError, ReplyError
from langchain_graft.evaluation.replies import ReplyCache, with_reply_cache
from langchain_graft.finetune_bridge import (
    AdapterEngine,
    AdapterStore,
    GeneratorRow,
    GeneratorSettings,
    LoraSettings,
    split_rows,
    train_generator,
)
from langchain_graft.graph import LocalNeo4j, Neo4jGraphStore, Text2CypherSettings
from langchain_graft.graph.cypher.check import check_cypher
from langchain_graft.graph.cypher.guard import check_read_only
from langchain_graft.graph.cypher.reply import cypher_of_reply
from langchain_graft.graph.prompts import CYPHER_PROMPT
from langchain_graft.graph.steps import run_steps
from langchain_graft.graph.text2cypher import text2cypher_steps
from langchain_graft.graph.text2cypher_retriever import STATEMENT_TOKENS
from langchain_graft.knowledge_base.training_data import text2cypher_rows
from langchain_graft.models import TransformersEngine
from langchain_graft.models.pull import models_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TUNED = {"smollm2-135m": (1, 1e-3), "qwen2.5-coder-0.5b": (1, 5e-4)}
"""Epochs and learning rate of each small model."""
LARGER = "qwen2.5-coder-1.5b"
NAME = "movies-cypher"
ASKED, HELD_SHARE, ROWS = 60, 0.32, 160
ROW_LIMIT = 3000
DRAWS = 10_000
LITERAL = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")
SETTINGS = Text2CypherSettings(row_limit=ROW_LIMIT, model_repairs=0)
REPLY: dict[str, Any] = {"max_tokens": STATEMENT_TOKENS, "temperature": 0}
GOLD = "gold replies"
FIGURES = ("exact", "covering", "invalid")


class _ShownError(Exception):
    """The prompt that a chain would send."""


def pairs_of(database: str) -> tuple[list[Pair], set[str]]:
    """Each question once, those with an agreed answer first; and the ids of these."""
    path = data_folder("text2cypher") / "pairs.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [one for one in rows if one["database"] == database and one["usable"]]
    rows = [one for one in rows if one["falkordb"]["nonempty"]]
    rows.sort(key=lambda one: not one["consensus"])
    once: dict[str, Any] = {}
    for one in rows:
        once.setdefault(" ".join(one["question"].casefold().split()), one)
    agreed = {one["_id"] for one in once.values() if one["consensus"]}
    return [Pair(one["_id"], one["question"], one["cypher"]) for one in once.values()], agreed


def first_prompt(question: str, store: Neo4jGraphStore) -> list[Mapping[str, str]]:
    """What the chain says to its model for a question, as role and content."""

    def show(prompt: Any) -> str:
        raise _ShownError(prompt)

    steps = text2cypher_steps(question, settings=SETTINGS, prompt=CYPHER_PROMPT)
    try:
        run_steps(steps, graph=store, model=RunnableLambda(show))
    except _ShownError as shown:
        messages: Any = convert_to_openai_messages(shown.args[0].to_messages())
        return [{"role": one["role"], "content": one["content"]} for one in messages]
    msg = f"No prompt for {question!r}"
    raise SystemExit(msg)


def skeleton(cypher: str) -> str:
    """A statement without its values."""
    return LITERAL.sub("?", " ".join(cypher.split()))


def prompts_of(pairs: Sequence[Pair], store: Neo4jGraphStore, kept: Path) -> dict[str, Any]:
    """The first prompt of each question; those that were made are kept."""
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    found: dict[str, Any] = dict(map(json.loads, lines))
    missing = [one.question for one in pairs if one.question not in found]
    with kept.open("a", encoding="utf-8") as file, ThreadPoolExecutor(4) as pool:
        made = pool.map(partial(first_prompt, store=store), missing)
        for question, prompt in zip(missing, made, strict=True):
            file.write(json.dumps([question, prompt]) + "\n")
            found[question] = prompt
    return found


def parts_of(
    pairs: Sequence[Pair], agreed: set[str], store: Neo4jGraphStore
) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn, and pairs that are asked; of both, what reads only what the graph has."""
    schema = store.schema()
    by_question = {one.question: one for one in pairs}
    bare = [
        GeneratorRow(
            (
                {"role": "user", "content": one.question},
                {"role": "assistant", "content": one.cypher},
            ),
            group=skeleton(one.cypher),
        )
        for one in pairs
    ]
    parts = split_rows(bare, by="template", share=HELD_SHARE)
    learned, held = (
        [
            pair
            for row in part
            for pair in [by_question[row.messages[0]["content"]]]
            if not check_cypher(pair.cypher, schema)
        ]
        for part in parts
    )
    return learned, [one for one in held if one.id in agreed][:ASKED]


def rows_of(
    pairs: Sequence[Pair], prompts: Mapping[str, Any], store: Neo4jGraphStore, *, most: int
) -> Any:
    """Rows of training, and what was dropped."""
    drawn = random.Random(0).sample(pairs, min(most, len(pairs)))  # noqa: S311
    return text2cypher_rows(
        [(one.question, one.cypher) for one in drawn],
        messages=prompts.__getitem__,
        check=check_read_only,
        run=lambda cypher: store.read(cypher, row_limit=1).rows,
    )


def trained(settings: GeneratorSettings, rows: Sequence[GeneratorRow]) -> Any:
    """The adapter; a run that is done is found."""
    started = time.monotonic()

    def tell(progress: Any) -> None:
        print(f"{time.monotonic() - started:.0f} s: {progress}", flush=True)

    return train_generator(settings, rows, on_progress=tell)


def replies_of(model: Any, prompts: Sequence[Any], *, at_once: int) -> list[str]:
    """The model's replies, in the prompts' order."""
    found: dict[int, str] = {}
    for n, reply in model.batch_as_completed(prompts, {"max_concurrency": at_once}):
        found[n] = reply.text
        print(".", end="", flush=True)
    return [found[n] for n in range(len(prompts))]


def as_written(store: Neo4jGraphStore, _: str, reply: str) -> Rows:
    found = store.read(cypher_of_reply(reply) or "RETURN", row_limit=ROW_LIMIT)
    return [[*row.values()] for row in found.rows]


def in_the_chain(store: Neo4jGraphStore, question: str, reply: str) -> Rows:
    steps = text2cypher_steps(question, settings=SETTINGS)
    answer = run_steps(steps, graph=store, model=RunnableLambda(lambda _: reply))
    return [[*row.values()] for row in answer.rows]


def judged(
    run: Callable[[str, str], Rows],
    pairs: Sequence[Pair],
    replies: Sequence[str],
    gold: Mapping[str, Rows],
) -> dict[str, list[float]]:
    """Each figure of each question."""
    found: dict[str, list[float]] = {name: [] for name in FIGURES}
    for pair, reply in zip(pairs, replies, strict=True):
        is_invalid, rows = False, []
        try:
            rows = run(pair.question, reply)
        except (CypherError, ReplyError):
            is_invalid = True
        found["exact"].append(float(not is_invalid and is_exact(gold[pair.id], rows)))
        found["covering"].append(float(not is_invalid and is_covering(gold[pair.id], rows)))
        found["invalid"].append(float(is_invalid))
    return found


def mean_of(values: Sequence[float]) -> dict[str, Any]:
    """Their mean, and where 95 % of the means of drawn questions lie."""
    draws = np.random.default_rng(0).choice(values, (DRAWS, len(values))).mean(axis=1)
    return {"mean": float(np.mean(values)), "interval": np.quantile(draws, (0.025, 0.975)).tolist()}


def gain_of(one: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    """How much more one has than another, question by question."""
    return mean_of([a - b for a, b in zip(one, other, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="train and ask this one only; nothing is written")
    parser.add_argument("--rows", type=int, default=ROWS, help="most rows that are learned from")
    default = models_folder().parent / "bench" / "train_text2cypher"
    parser.add_argument("--folder", type=Path, default=default)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, LocalNeo4j(Path(name), version=VERSION) as local:
        server = Server(local.uri, local.user, local.password)
        load_graph(server, "movies")
        measure(server, arguments.folder, arguments.model, most=arguments.rows)


def measure(server: Server, folder: Path, only: str | None, *, most: int) -> None:
    """Train, ask, run, tell."""
    graph = Neo4jGraphStore(server.uri, user=server.user, password=server.password)
    with closing(graph) as store:
        learned, asked = parts_of(*pairs_of("movies"), store)
        gold = gold_rows(server, asked)
        prompts = prompts_of([*learned, *asked], store, folder / "prompts.jsonl")
        made = rows_of(learned, prompts, store, most=most)
        print(f"{len(made.rows)} rows; dropped: {dict(made.dropped)}; {len(asked)} are asked")
        cache = ReplyCache(folder / "replies.sqlite")
        told = [prompts[one.question] for one in asked]
        said, training = {GOLD: [one.cypher for one in asked]}, {}
        if only in (None, LARGER):
            larger = with_reply_cache(load_chat_model(LARGER, **REPLY), cache)
            said[f"{LARGER}, untuned"] = replies_of(larger, told, at_once=1)
        for name in TUNED if only is None else {only} - {LARGER}:
            adapter = trained(settings_of(name, folder), made.rows)
            training[name] = told_of(adapter)
            said |= replies_of_both(name, adapter, told, cache)
        found = {
            system: {
                "as written": judged(partial(as_written, store), asked, replies, gold),
                "in the chain": judged(partial(in_the_chain, store), asked, replies, gold),
            }
            for system, replies in said.items()
        }
    figures = {"questions": len(asked), "rows": len(made.rows), "training": training}
    tell(found, figures, is_kept=only is None)


def settings_of(name: str, folder: Path) -> GeneratorSettings:
    """How a small model is tuned."""
    epochs, rate = TUNED[name]
    return GeneratorSettings(
        base=f"hf:{name}",
        out=str(folder / f"{name}-{epochs}-{rate:g}"),
        lora=LoraSettings(r=16, alpha=32),
        epochs=epochs,
        batch_size=8,
        learning_rate=rate,
        eval_share=0.0,
        checkpoint_every=5,
        device="cpu",
        threads=1,
    )


def told_of(adapter: Any) -> dict[str, Any]:
    """What training took."""
    report = adapter.report
    return {"seconds": report.seconds, "last_loss": report.last_loss}


def replies_of_both(
    name: str, adapter: Any, prompts: Sequence[Any], cache: ReplyCache
) -> dict[str, list[str]]:
    """Of a model untuned and tuned, both in one engine."""
    with tempfile.TemporaryDirectory() as place:
        store = AdapterStore(Path(place))
        adapters = AdapterEngine(TransformersEngine.load(name), store)
        adapters.promote(store.register(adapter.folder, NAME, manifest=adapter.manifest))
        found = {}
        for system, which in ((f"{name}, untuned", "base"), (f"{name}, tuned", NAME)):
            model = with_reply_cache(adapters.chat_model(which, **REPLY), cache)
            found[system] = replies_of(model, prompts, at_once=8)
        adapters.close()
    return found


def tell(found: Mapping[str, Any], figures: Mapping[str, Any], *, is_kept: bool) -> None:
    """The table, and the JSON line."""
    ways = tuple(found[GOLD])
    systems = {
        system: {way: {name: mean_of(of[way][name]) for name in FIGURES} for way in ways}
        for system, of in found.items()
    }
    for way in ways:
        table = [
            (system, *(of[way][name]["mean"] for name in FIGURES), *of[way]["exact"]["interval"])
            for system, of in systems.items()
        ]
        print_table(f"Held-out questions, {way}", ("", *FIGURES, "from", "to"), table)
    gains = {
        way: {
            f"{tuned} over {other}": gain_of(found[tuned][way]["exact"], found[other][way]["exact"])
            for tuned in found
            if tuned.endswith(", tuned")
            for other in (tuned.replace("tuned", "untuned"), f"{LARGER}, untuned")
            if other in found
        }
        for way in ways
    }
    for way, of in gains.items():
        rows = [(name, one["mean"], *one["interval"]) for name, one in of.items()]
        print_table(f"Gains in exact, {way}", ("", "gain", "from", "to"), rows)
    if is_kept:
        finish(
            "train_text2cypher",
            {**figures, "systems": systems, "gains": gains},
            packages=("torch", "transformers", "peft", "neo4j", "xllamacpp"),
        )


if __name__ == "__main__":
    main()
