"""A version's folder made of another's, everything in it checked."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from langchain_graft.durable import write_durably
from langchain_graft.finetune_bridge.adapters.folder import CONFIG, MANIFEST, WEIGHTS, copy_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from langchain_graft.finetune_bridge.adapters.folder import CheckedFolder
    from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest


def copy_checked(source: CheckedFolder, target: Path, *, manifest: AdapterManifest) -> None:
    """Fill a new folder with an adapter's files and its manifest, all of them on the disk.

    The source is read again after the copy, as it will be read when it serves, and has to have the
    copy's digests: so what was checked is what is kept, whoever writes to the source meanwhile.

    Raises:
        AdapterRefusedError: A number is not what may be served, or a file changed.
    """
    target.mkdir()
    files = {name: copy_file(source.folder / name, target / name) for name in (CONFIG, WEIGHTS)}
    _read_all(source, files)
    created = manifest.created or datetime.now(UTC).isoformat(timespec="seconds")
    values = replace(manifest, files=files, created=created).to_json()
    write_durably(target / MANIFEST, json.dumps(values, indent=2, ensure_ascii=False).encode())


def _read_all(source: CheckedFolder, files: Mapping[str, str]) -> None:
    if source.config is None:
        from langchain_graft.finetune_bridge.adapters.query_map import read_query_map  # noqa: PLC0415

        read_query_map(source.folder, expected=files)
    else:
        from langchain_graft.finetune_bridge.adapters.lora_weights import read_lora  # noqa: PLC0415

        read_lora(source.folder, expected=files)
