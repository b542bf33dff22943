"""What runs a model's code, where the user gives something that does: nothing here does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

_BLOCK = re.compile(
    r"^[ \t]*```[ \t]*([\w+#.-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class CodeBlock:
    """A fenced block of a reply, with the names that AutoGen's executors read."""

    code: str
    language: str


class CodeResult(Protocol):
    """What running code came to."""

    exit_code: int
    """0: it worked."""
    output: str


@runtime_checkable
class CodeExecutor(Protocol):
    """Runs code in a place of its own, such as a container; AutoGen 0.2's executors fit."""

    def execute_code_blocks(self, code_blocks: list[Any]) -> CodeResult:
        """Run the blocks, in order, and tell what came of it."""
        ...


def code_blocks(reply: str) -> list[CodeBlock]:
    """The fenced blocks of a reply, in order."""
    return [CodeBlock(code=code, language=name.lower()) for name, code in _BLOCK.findall(reply)]


def without_code(reply: str) -> str:
    """A reply with spaces in the place of its fenced blocks, so that offsets stay."""
    return _BLOCK.sub(lambda block: " " * len(block[0]), reply)
