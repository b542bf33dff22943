"""Which adapter: a name and a version, or an alias that stands for a version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

BASE = "base"
"""The base model without an adapter."""
RELEASE = "release"
"""Where there are releases: the adapter that the one has which serves."""
CURRENT = "current"
"""The alias that a name alone means."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, order=True)
class AdapterRef:
    """One version of one adapter; its text is `name@000003`."""

    name: str
    version: int

    def __post_init__(self) -> None:
        check_name(self.name)
        if not is_number(self.version):
            msg = f"A version lies from 1 to 999999, not {self.version!r}"
            raise ValueError(msg)

    def __str__(self) -> str:
        return f"{self.name}@{self.version:06}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of `name@000003`.

        Raises:
            ValueError: It is none.
        """
        name, tag = split_reference(text)
        if not _VERSION.fullmatch(tag):
            msg = f"Expected an adapter's version, as 'legal@000003', not {text!r}"
            raise ValueError(msg)
        return cls(name, int(tag))


def split_reference(text: str) -> tuple[str, str]:
    """Name and version or alias of `name@000003`, `name@alias`, or `name` alone (`current`).

    Raises:
        ValueError: It is neither.
    """
    name, at, tag = text.partition("@")
    tag = tag if at else CURRENT
    if text != RELEASE:
        check_name(name)
    if not _VERSION.fullmatch(tag):
        check_name(tag, what="An alias")
    return name, tag


def is_number(version: object) -> bool:
    """Whether a version can have that number."""
    return type(version) is int and 1 <= version <= 999_999  # noqa: PLR2004 (six digits)


def is_version(tag: str) -> bool:
    """Whether what stands behind the `@` is a version, not an alias."""
    return bool(_VERSION.fullmatch(tag))


def check_name(name: str, *, what: str = "An adapter's name") -> None:
    """Check a name or an alias.

    Raises:
        ValueError: It has another form, is `base` or `release`, or could be taken for a version.
    """
    if not _NAME.fullmatch(name) or name in (BASE, RELEASE) or _VERSION.fullmatch(name):
        msg = (
            f"{what} has 1 to 64 of a-z, 0-9, _ and -, begins with a letter or digit, and is "
            f"neither {BASE!r}, {RELEASE!r} nor six digits; this is {name!r}"
        )
        raise ValueError(msg)
