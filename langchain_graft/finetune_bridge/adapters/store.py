"""Adapters on disk: immutable versions, aliases that stand for them, leases that keep them."""

from __future__ import annotations

import secrets
import shutil
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_graft.durable import sync_folder
from langchain_graft.errors import (
    AdapterError,
    AdapterInUseError,
    AdapterNotFoundError,
    MissingExtraError,
)
from langchain_graft.finetune_bridge.adapters.aliases import read_aliases
from langchain_graft.finetune_bridge.adapters.copying import copy_checked
from langchain_graft.finetune_bridge.adapters.folder import (
    CONFIG,
    MANIFEST,
    WEIGHTS,
    check_folder,
    read_file,
    refused,
)
from langchain_graft.finetune_bridge.adapters.lease import (
    AdapterLease,
    AdapterLeases,
    RemovalLock,
    in_use,
)
from langchain_graft.finetune_bridge.adapters.manifest import AdapterManifest
from langchain_graft.finetune_bridge.adapters.ref import (
    BASE,
    CURRENT,
    AdapterRef,
    check_name,
    is_version,
    split_reference,
)
from langchain_graft.finetune_bridge.adapters.strict_json import parse_json
from langchain_graft.finetune_bridge.adapters.versions import (
    INCOMING,
    REMOVED,
    homes,
    next_version,
    sweep,
    tag,
    versions,
)

try:
    import filelock
except ImportError as error:
    raise MissingExtraError("finetune") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_graft.finetune_bridge.adapters.aliases import Aliases
    from langchain_graft.finetune_bridge.adapters.manifest import AdapterKind, AdapterSide

    Shapes = Callable[[str], tuple[int, int] | None]

__all__ = ["AdapterEntry", "AdapterLease", "AdapterStore"]
_LOCK = ".lock"
_LOCK_SECONDS = 600.0
_MANIFEST_BYTES = 8 << 20


@dataclass(frozen=True, kw_only=True)
class AdapterEntry:
    """A version in the list of a store."""

    ref: AdapterRef
    aliases: tuple[str, ...]
    """What stands for it."""
    kind: AdapterKind
    base: str
    """The base model's name."""
    size_bytes: int
    """Of its matrices."""
    created: str
    """ISO 8601, UTC."""


class AdapterStore:  # long for what each method promises, not for what it does
    """A folder of adapters, used by any number of threads and processes at once.

    `<folder>/<name>/<000001>/` holds a version: `adapter_config.json`,
    `adapter_model.safetensors`, `manifest.json`; `<folder>/<name>/aliases.json` says what stands
    for which. A version comes by one rename, after everything in it was checked and written, is
    never changed, and its number is never given again; `aliases.json` is replaced as a whole. So a
    process that is killed anywhere leaves the store as it was before or as it was to become; what
    it had begun is swept by who writes next. Everything is read from the disk when asked for:
    processes see each other's changes.

    Args:
        folder: It is made with the first adapter.
        keeps: Says why a version may not be removed ("release 3 names it"), or None.
    """

    def __init__(
        self, folder: Path | str, *, keeps: Callable[[AdapterRef], str | None] | None = None
    ) -> None:
        self.folder = Path(folder).absolute()
        self._keeps = keeps
        self._leases = AdapterLeases()

    def register(
        self,
        source: Path,
        name: str,
        *,
        manifest: AdapterManifest,
        shapes: Shapes | None = None,
    ) -> AdapterRef:
        """Take a copy of an adapter's folder into the store, as the next version of a name.

        Args:
            source: As PEFT saves it, or `QueryMap.save`; it stays as it is.
            name: Of the adapter.
            manifest: `files` and `created` are filled in.
            shapes: Outputs and inputs of the base's layers (`LoraLayers.shape_of`), where known.

        Raises:
            ValueError: It is no name for an adapter.
            AdapterRefusedError: The folder is not what may be loaded; nothing was kept.
            AdapterMismatchError: The base has other layers.
            AdapterError: The store can not be written.
        """
        check_name(name)
        checked = check_folder(Path(source))
        if (checked.config is None) != (manifest.kind == "query-map"):
            raise refused(checked.folder, f"it is not what its manifest says: {manifest.kind!r}")
        if shapes is not None:
            checked.require_shapes(shapes)
        with self._writing(name, new=True) as home:
            staged = home / f"{INCOMING}{secrets.token_hex(4)}"
            try:
                copy_checked(checked, staged, manifest=manifest)
                ref = AdapterRef(name, next_version(home))
                staged.rename(home / tag(ref))
                sync_folder(home)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
        return ref

    def import_peft(  # noqa: PLR0913 (what the folder does not say itself)
        self,
        source: Path,
        name: str,
        *,
        base: str,
        base_digest: str,
        kind: AdapterKind = "generator",
        side: AdapterSide = "both",
        tokenizer_digest: str | None = None,
        shapes: Shapes | None = None,
    ) -> AdapterRef:
        """Take in an adapter that PEFT saved, here or elsewhere.

        What it says of its base (`base_model_name_or_path`) is kept in the manifest's settings and
        never followed: `base` is what it will be served with.

        Args:
            source: As PEFT saves it.
            name: Of the adapter.
            base: The base model's name for `load_chat_model` or `load_embeddings`.
            base_digest: The base model's digest.
            kind: What it is added to.
            side: Embeddings: whether documents have it too.
            tokenizer_digest: The tokenizer's; None: not checked when it serves.
            shapes: Outputs and inputs of the base's layers, to check that it fits.

        Raises:
            ValueError: It is no name for an adapter.
            AdapterRefusedError: The folder is not what may be loaded; nothing was kept.
            AdapterMismatchError: The base has other layers.
        """
        told = parse_json(check_folder(Path(source)).config_bytes, what=CONFIG)
        said = {key: value for key, value in told.items() if value not in (None, False, [], {})}
        manifest = AdapterManifest(
            kind=kind,
            side=side,
            base=base,
            base_digest=base_digest,
            tokenizer_digest=tokenizer_digest,
            settings={"imported": said},
            versions={"peft": str(told.get("peft_version", "unknown"))},
        )
        return self.register(source, name, manifest=manifest, shapes=shapes)

    def list(self) -> list[AdapterEntry]:
        """Every version, by name and number.

        Raises:
            AdapterRefusedError: A manifest is damaged; the message names it.
        """
        found = [
            self._entry(ref, aliases)
            for home in homes(self.folder)
            for aliases in [read_aliases(home)]
            for ref in versions(home)
        ]
        return [entry for entry in found if entry is not None]

    def manifest(self, ref: AdapterRef) -> AdapterManifest:
        """What a version is and was made of.

        Raises:
            AdapterNotFoundError: There is none.
            AdapterRefusedError: Its manifest is damaged.
        """
        path = self.path(ref) / MANIFEST
        try:
            data = read_file(path, max_bytes=_MANIFEST_BYTES)
            return AdapterManifest.from_json(parse_json(data, what=MANIFEST))
        except ValueError as error:
            raise refused(path, str(error)) from error

    def path(self, ref: AdapterRef) -> Path:
        """The folder of a version; lease it while you read.

        Raises:
            AdapterNotFoundError: There is none.
        """
        folder = self.folder / ref.name / tag(ref)
        if not folder.is_dir() or folder.is_symlink() or folder.parent.is_symlink():
            raise self._not_found(str(ref))
        return folder

    def aliases(self, name: str) -> dict[str, int]:
        """The versions of a name by what stands for them."""
        check_name(name)
        return dict(read_aliases(self.folder / name).versions)

    def resolve(self, adapter: str) -> AdapterRef | None:
        """The version that `name@000003`, `name@alias` or `name` (`name@current`) means now.

        Returns:
            None for `base`.

        Raises:
            ValueError: It has none of these forms.
            AdapterNotFoundError: There is none.
        """
        if adapter == BASE:
            return None
        name, alias = split_reference(adapter)
        if is_version(alias):
            ref = AdapterRef(name, int(alias))
            self.path(ref)
            return ref
        version = read_aliases(self.folder / name).versions.get(alias)
        if version is None:
            raise self._not_found(adapter)
        return AdapterRef(name, version)

    def set_alias(self, ref: AdapterRef, alias: str) -> None:
        """Let an alias stand for a version from now on.

        Raises:
            ValueError: It is no alias.
            AdapterNotFoundError: There is no such version.
        """
        check_name(alias, what="An alias")
        with self._writing(ref.name) as home:
            self.path(ref)
            before = read_aliases(home)
            after = before.with_alias(alias, ref.version)
            if after != before:
                after.write(home)

    def drop_alias(self, name: str, alias: str) -> None:
        """Let an alias stand for nothing; the version stays.

        Raises:
            AdapterNotFoundError: There is no such alias.
        """
        check_name(name)
        with self._writing(name) as home:
            before = read_aliases(home)
            if alias not in before.versions:
                missing = f"{name}@{alias}"
                raise self._not_found(missing)
            rest = {one: version for one, version in before.versions.items() if one != alias}
            replace(before, versions=rest).write(home)

    def promote(self, ref: AdapterRef) -> None:
        """Let the name alone mean this version; what it meant before is kept for `rollback`.

        Raises:
            AdapterNotFoundError: There is no such version.
        """
        self.set_alias(ref, CURRENT)

    def rollback(self, name: str) -> AdapterRef:
        """Let a name mean again what it meant before the last promotion.

        Raises:
            AdapterNotFoundError: It meant nothing before.
        """
        check_name(name)
        with self._writing(name) as home:
            before = read_aliases(home)
            if not before.former:
                missing = f"{name}@{CURRENT}, before its first promotion"
                raise self._not_found(missing)
            after = before.rolled_back()
            after.write(home)
        return AdapterRef(name, after.versions[CURRENT])

    def remove(self, ref: AdapterRef, *, drop_aliases: bool = False) -> None:
        """Remove a version for good.

        Args:
            ref: Which one.
            drop_aliases: Aliases that stand for it go with it.

        Raises:
            AdapterNotFoundError: There is none.
            AdapterInUseError: It is leased, here or by another process, or an alias stands for it.
        """
        with self._writing(ref.name) as home:
            folder = self.path(ref)
            aliases = read_aliases(home)
            if (named := aliases.of(ref.version)) and not drop_aliases:
                msg = (
                    f"{str(ref)!r} is what {ref.name}@{named[0]} stands for. Promote another one "
                    "first, or drop the alias (`graft adapters remove --drop-alias`)"
                )
                raise AdapterInUseError(msg, adapter=str(ref))
            with RemovalLock(ref, folder):
                if self._keeps is not None and (why := self._keeps(ref)):
                    msg = f"{str(ref)!r} can not be removed: {why}"
                    raise AdapterInUseError(msg, adapter=str(ref))
                aliases.without_version(ref.version).write(home)
                gone = home / f"{REMOVED}{secrets.token_hex(4)}"
                try:
                    folder.rename(gone)
                except PermissionError as error:
                    if sys.platform != "win32":
                        raise
                    raise in_use(ref) from error  # a file of it is open
                sync_folder(home)
                shutil.rmtree(gone, ignore_errors=True)

    def lease(self, ref: AdapterRef) -> AdapterLease:
        """Keep a version from being removed until the lease's `release`.

        It holds across processes, and ends with the process that has it, however that ends.

        Raises:
            AdapterNotFoundError: There is none.
        """
        return self._leases.take(ref, self.path(ref))

    def _entry(self, ref: AdapterRef, aliases: Aliases) -> AdapterEntry | None:
        """None: it was removed meanwhile."""
        folder = self.folder / ref.name / tag(ref)
        try:
            manifest = self.manifest(ref)
            size_bytes = (folder / WEIGHTS).stat().st_size
        except (AdapterError, OSError):
            if folder.is_dir():
                raise
            return None
        return AdapterEntry(
            ref=ref,
            aliases=aliases.of(ref.version),
            kind=manifest.kind,
            base=manifest.base,
            size_bytes=size_bytes,
            created=manifest.created,
        )

    @contextmanager
    def _writing(self, name: str, *, new: bool = False) -> Iterator[Path]:
        """The name's folder, written to by nobody else, rid of what a killed process began."""
        home = self.folder / name
        try:
            if not home.is_dir():
                if not new:
                    raise self._not_found(name)
                home.mkdir(parents=True, exist_ok=True)
                sync_folder(self.folder)
            with filelock.FileLock(home / _LOCK, timeout=_LOCK_SECONDS):
                sweep(home)
                yield home
        except filelock.Timeout as error:
            msg = f"Another process has been writing to {str(home)!r} for {_LOCK_SECONDS:.0f} s"
            raise AdapterError(msg, adapter=name) from error
        except OSError as error:
            msg = (
                f"Can not write to {str(home)!r}: {error}. Make room on the disk or mend the "
                "folder's permissions, then do it again"
            )
            raise AdapterError(msg, adapter=name) from error

    def _not_found(self, adapter: str) -> AdapterNotFoundError:
        there_are = homes(self.folder)
        there = [str(ref) for home in there_are for ref in versions(home)]
        for home in there_are:
            with suppress(AdapterError):  # that one is damaged is told to those who ask for it
                there += [f"{home.name}@{alias}" for alias in self.aliases(home.name)]
        return AdapterNotFoundError(adapter, available=there)
