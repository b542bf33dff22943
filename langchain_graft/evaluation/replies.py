"""A cache of models' replies, so that an evaluation that was stopped goes on and repeats."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.caches import BaseCache
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_graft.errors import EvaluationDataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import BaseChatModel


class ReplyCache(BaseCache):
    """Replies by model, prompt and settings, in a SQLite file; plain JSON, nothing is executed.

    Give it to a chat model as `cache`, or use `with_reply_cache`. May be used by several threads.

    Args:
        path: The file; it is made when it is not there. None: one beside the local models.

    Raises:
        EvaluationDataError: The file is something else.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        path = _beside_the_models() if path is None else path
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
        try:
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS replies(key TEXT PRIMARY KEY, reply TEXT NOT NULL)"
            )
        except sqlite3.DatabaseError as error:
            self._database.close()
            msg = f"{str(path)!r} is no cache of replies ({error}). Remove it, or name another"
            raise EvaluationDataError(msg) from error
        self._database.commit()

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """The reply to this prompt, None when there is none yet."""
        with self._lock:
            found = self._database.execute(
                "SELECT reply FROM replies WHERE key = ?", (_key(prompt, llm_string),)
            ).fetchone()
        if found is None:
            return None
        return [
            ChatGeneration(
                message=AIMessage(
                    content=reply["text"],
                    tool_calls=reply["tool_calls"],
                    usage_metadata=reply["usage"],
                    response_metadata={**reply["metadata"], "cached": True},
                )
            )
            for reply in json.loads(found[0])
        ]

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep a reply."""
        replies = [_plain(reply) for reply in return_val]
        with self._lock, self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO replies VALUES (?, ?)",
                (_key(prompt, llm_string), json.dumps(replies, ensure_ascii=False, default=str)),
            )

    def clear(self, **_: Any) -> None:
        """Forget all replies."""
        with self._lock, self._database:
            self._database.execute("DELETE FROM replies")

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _beside_the_models() -> Path:
    from langchain_graft.models.cache_folder import cache_folder  # noqa: PLC0415 (needs an extra)

    return cache_folder() / "replies.sqlite"


def with_reply_cache(model: BaseChatModel, cache: BaseCache) -> BaseChatModel:
    """The model, asked only for what the cache does not hold; streams come in one piece."""
    return model.model_copy(update={"cache": cache, "disable_streaming": True})


def _key(prompt: str, llm_string: str) -> str:
    return hashlib.sha256(f"{llm_string}\0{prompt}".encode()).hexdigest()


def _plain(reply: Generation) -> dict[str, Any]:
    """A reply as JSON values: its text, what it cost, and what came with it, such as logprobs."""
    message = reply.message if isinstance(reply, ChatGeneration) else None
    if not isinstance(message, AIMessage):
        return {"text": reply.text, "tool_calls": [], "usage": None, "metadata": {}}
    return {
        "text": reply.text,
        "tool_calls": message.tool_calls,
        "usage": message.usage_metadata,
        "metadata": message.response_metadata,
    }
