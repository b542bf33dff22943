"""`aliases.json`: what the aliases of an adapter stand for, and what `current` stood for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from langchain_graft.durable import write_durably
from langchain_graft.errors import AdapterError
from langchain_graft.finetune_bridge.adapters.ref import CURRENT, is_number
from langchain_graft.finetune_bridge.adapters.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "aliases.json"
_KEPT_FORMERS = 100


@dataclass(frozen=True, kw_only=True)
class Aliases:
    """The content of the file; it is replaced as a whole."""

    versions: Mapping[str, int] = field(default_factory=dict)
    """The version by the alias."""
    former: tuple[int, ...] = ()
    """What `current` stood for before, the latest last."""
    last: int = 0
    """The highest version that there ever was: no number is given twice."""

    def with_alias(self, alias: str, version: int) -> Self:
        """With an alias that stands for a version; of `current`, what it stood for is kept."""
        before = self.versions.get(alias)
        former = self.former
        if alias == CURRENT and before not in (None, version):
            former = (*former, before)[-_KEPT_FORMERS:]
        return replace(self, versions={**self.versions, alias: version}, former=former)

    def rolled_back(self) -> Self:
        """With `current` as it was before; there is a former version."""
        versions = {**self.versions, CURRENT: self.former[-1]}
        return replace(self, versions=versions, former=self.former[:-1])

    def without_version(self, version: int) -> Self:
        """After a version has been removed: nothing stands for it."""
        versions = {alias: one for alias, one in self.versions.items() if one != version}
        former = tuple(one for one in self.former if one != version)
        return replace(self, versions=versions, former=former, last=max(self.last, version))

    def of(self, version: int) -> tuple[str, ...]:
        """The aliases that stand for a version."""
        return tuple(sorted(alias for alias, one in self.versions.items() if one == version))

    def write(self, folder: Path) -> None:
        """Replace the folder's file."""
        values = {"aliases": dict(self.versions), "former": list(self.former), "last": self.last}
        write_durably(folder / FILE, json.dumps({"format": 1, **values}, indent=2).encode())


def read_aliases(folder: Path) -> Aliases:
    """The aliases of the adapter in a folder; without the file there are none.

    Raises:
        AdapterError: The file is damaged.
    """
    try:
        values = parse_json((folder / FILE).read_bytes(), what=FILE)
        return _aliases(values)
    except (FileNotFoundError, NotADirectoryError):
        return Aliases()
    except (OSError, ValueError) as error:
        msg = (
            f"{str(folder / FILE)!r} can not be read ({error}). Mend it, or remove it and promote "
            "the version that is to serve"
        )
        raise AdapterError(msg, adapter=folder.name) from error


def _aliases(values: Mapping[str, Any]) -> Aliases:
    match values:
        case {"format": 1, "aliases": dict(versions), "former": [*former], "last": int(last)} if (
            all(is_number(one) for one in (*versions.values(), *former))
        ):
            return Aliases(versions=versions, former=tuple(former), last=last)
        case _:
            msg = f"it holds {str(values)[:80]}, expected aliases of format 1"
            raise ValueError(msg)
