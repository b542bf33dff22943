"""The journal's part on the graph: replies, what is in which store, merges, what a model said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

SCHEMA = """
CREATE TABLE IF NOT EXISTS extractions(
    chunk_id TEXT PRIMARY KEY,
    key TEXT NOT NULL,              -- digest of what the reply depends on: model, prompt, text
    state TEXT NOT NULL,            -- 'extracted', 'failed'
    reply TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',-- why it failed
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS graph_chunks(
    store TEXT NOT NULL,            -- '' is the knowledge base's own, others go by their address
    chunk_id TEXT NOT NULL,
    source_id TEXT NOT NULL,
    digest TEXT NOT NULL,           -- of the graph that was put there; '' when that is not sure
    PRIMARY KEY (store, chunk_id)
);
CREATE TABLE IF NOT EXISTS graph_merges(
    left_id TEXT NOT NULL,
    right_id TEXT NOT NULL,
    merge TEXT NOT NULL,            -- JSON
    undone INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (left_id, right_id)
);
CREATE TABLE IF NOT EXISTS same_entity(
    left_id TEXT NOT NULL,
    right_id TEXT NOT NULL,
    same INTEGER NOT NULL,          -- what a model said
    PRIMARY KEY (left_id, right_id)
);
"""

Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class ExtractionRecord:
    """What a model said of a chunk, or why it said nothing that can be used."""

    chunk_id: str
    key: str
    reply: str = ""
    detail: str = ""
    """Why it failed; empty when it did not."""
    input_tokens: int = 0
    output_tokens: int = 0


class GraphJournal:
    """What the journal keeps of the graph, so that it can be built again without the model.

    Args:
        database: The journal's.
        transaction: All changes inside, or none of them.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        transaction: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._database = database
        self._transaction = transaction

    def extractions(self) -> dict[str, ExtractionRecord]:
        """All of them, by chunk."""
        rows = self._database.execute(
            "SELECT chunk_id, key, reply, detail, input_tokens, output_tokens FROM extractions"
        )
        return {
            row[0]: ExtractionRecord(
                chunk_id=row[0],
                key=row[1],
                reply=row[2],
                detail=row[3],
                input_tokens=row[4],
                output_tokens=row[5],
            )
            for row in rows
        }

    def schema(self) -> str:
        """The schema that alone is kept of the replies, as JSON; empty: everything is."""
        found = self._database.execute(
            "SELECT value FROM meta WHERE key = 'graph_schema'"
        ).fetchone()
        return str(found[0]) if found else ""

    def set_schema(self, schema: str) -> None:
        """This schema alone is kept of the replies."""
        with self._transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO meta VALUES ('graph_schema', ?)", (schema,)
            )

    def keep(self, record: ExtractionRecord) -> None:
        """Keep what became of a chunk, in the place of what was there."""
        state = "failed" if record.detail else "extracted"
        with self._transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO extractions VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    record.chunk_id,
                    record.key,
                    state,
                    record.reply,
                    record.detail,
                    record.input_tokens,
                    record.output_tokens,
                ),
            )

    def forget_gone(self) -> None:
        """Drop the replies on chunks that are no longer there."""
        with self._transaction():
            self._database.execute(
                "DELETE FROM extractions WHERE chunk_id NOT IN "
                "(SELECT id FROM chunks WHERE state <> 'removed')"
            )

    def in_store(self, store: str) -> dict[str, tuple[str, str]]:
        """What a store holds: source and digest, by chunk."""
        rows = self._database.execute(
            "SELECT chunk_id, source_id, digest FROM graph_chunks WHERE store = ?", (store,)
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def put(self, store: str, chunks: Mapping[str, tuple[str, str]]) -> None:
        """Chunks, with source and digest, are in a store, or may be: then the digest is empty."""
        with self._transaction():
            self._database.executemany(
                "INSERT OR REPLACE INTO graph_chunks VALUES (?, ?, ?, ?)",
                ((store, chunk, *where) for chunk, where in chunks.items()),
            )

    def take(self, store: str, chunks: Iterable[str]) -> None:
        """Chunks are in a store no longer."""
        with self._transaction():
            self._database.executemany(
                "DELETE FROM graph_chunks WHERE store = ? AND chunk_id = ?",
                ((store, chunk) for chunk in chunks),
            )

    def merges(self) -> dict[Pair, tuple[dict[str, Any], bool]]:
        """The merges of entities, and whether each was undone."""
        rows = self._database.execute(
            "SELECT left_id, right_id, merge, undone FROM graph_merges ORDER BY left_id, right_id"
        )
        return {(row[0], row[1]): (json.loads(row[2]), bool(row[3])) for row in rows}

    def replace_merges(self, merges: Mapping[Pair, Mapping[str, object]]) -> None:
        """These are the merges now; those that were undone stay so."""
        with self._transaction():
            self._database.execute("DELETE FROM graph_merges WHERE undone = 0")
            self._database.executemany(
                "INSERT OR IGNORE INTO graph_merges VALUES (?, ?, ?, 0)",
                ((*pair, json.dumps(merge, ensure_ascii=False)) for pair, merge in merges.items()),
            )

    def set_undone(self, pair: Pair, *, undone: bool) -> bool:
        """Undo a merge, or do it again; False: there is none of that pair."""
        with self._transaction():
            done = self._database.execute(
                "UPDATE graph_merges SET undone = ? WHERE left_id = ? AND right_id = ?",
                (int(undone), *pair),
            )
        return done.rowcount > 0

    def same_entity(self) -> dict[Pair, bool]:
        """What a model said of pairs of entities."""
        rows = self._database.execute("SELECT left_id, right_id, same FROM same_entity")
        return {(row[0], row[1]): bool(row[2]) for row in rows}

    def keep_same_entity(self, answers: Mapping[Pair, bool]) -> None:
        """Keep what a model said."""
        with self._transaction():
            self._database.executemany(
                "INSERT OR REPLACE INTO same_entity VALUES (?, ?, ?)",
                ((*pair, int(same)) for pair, same in answers.items()),
            )

    def counts(self) -> dict[str, int]:
        """Chunks by state: extracted, failed; none in a journal of an older version."""
        if not self._is_there():
            return {}
        rows = self._database.execute("SELECT state, count(*) FROM extractions GROUP BY state")
        return dict(rows)

    def failures(self) -> dict[str, str]:
        """Why chunks could not be extracted."""
        if not self._is_there():
            return {}
        rows = self._database.execute(
            "SELECT chunk_id, detail FROM extractions WHERE state = 'failed' ORDER BY chunk_id"
        )
        return dict(rows)

    def _is_there(self) -> bool:
        """Whether the journal has these tables: one that was never written since has not."""
        found = self._database.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'extractions'"
        ).fetchone()
        return found is not None
