"""How documents are read and cut; kept with the knowledge base."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class IngestSettings:
    """Settings of a knowledge base, fixed when it is made."""

    chunk_tokens: int = 160
    """Most tokens of a chunk, its title and headings counted."""
    ocr: bool = False
    """Read scanned PDF pages by optical character recognition."""
    max_file_mb: int = 500
    """A larger file is not read."""
    max_text_mb: int = 50
    """A document with more text than that is not indexed."""
    read_timeout_seconds: int = 600
    """A document that takes longer to read is given up."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and (not isinstance(value, int) or value < 1):
                msg = f"{field.name} must be a whole number of 1 or more, not {value!r}"
                raise ValueError(msg)
        if self.chunk_tokens < 16:  # noqa: PLR2004
            msg = f"chunk_tokens must be 16 or more, not {self.chunk_tokens}"
            raise ValueError(msg)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """From plain values; names that this version does not know are passed over."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
