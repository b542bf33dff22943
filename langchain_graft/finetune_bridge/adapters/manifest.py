"""What an adapter is, what it was made of, and for which base."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from langchain_graft.models.digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

AdapterKind = Literal["generator", "embeddings", "query-map"]
AdapterSide = Literal["both", "query"]
FORMAT = 1
_LIBRARIES = ("langchain-graft", "peft", "sentence-transformers", "torch", "transformers")
_TEXTS = ("base", "base_digest", "created", "kind", "side")
_OPTIONAL_TEXTS = ("data_digest", "tokenizer_digest")
_OBJECTS = ("files", "metrics", "settings", "versions")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the adapter answered to a prompt when it was made: its most probable first tokens."""

    prompt: str
    """As the model reads it, its chat template filled in."""
    token_ids: tuple[int, ...]
    """Of the first token of the answer, most probable first."""
    logprobs: tuple[float, ...]
    """Of each of them."""

    def __post_init__(self) -> None:
        if len(self.token_ids) != len(self.logprobs):
            msg = f"A probe has {len(self.token_ids)} tokens and {len(self.logprobs)} logprobs"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class AdapterManifest:
    """The content of an adapter's `manifest.json`; it is written once and never changed."""

    kind: AdapterKind
    """What it is added to: a chat model, an embedder's transformer, or a query's vector."""
    base: str
    """The base model's name for `load_chat_model` or `load_embeddings`."""
    base_digest: str
    """The base model's digest; another base is refused."""
    tokenizer_digest: str | None = None
    """The tokenizer's and chat template's; None: not known, not checked."""
    data_digest: str | None = None
    """Of the rows it was trained on; None: not known."""
    side: AdapterSide = "both"
    """Embeddings: `query` leaves the documents' vectors as the base embeds them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained, or where it came from."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What was measured on it."""
    probe: tuple[Probe, ...] = ()
    """What it answered when it was made; asked again before it serves."""
    versions: Mapping[str, str] = field(default_factory=lambda: library_versions())  # noqa: PLW0108 (defined below)
    """Of the libraries that made it."""
    created: str = ""
    """When it came into the store (ISO 8601, UTC)."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The sha256 of each other file of its folder."""

    def __post_init__(self) -> None:
        for name, choices in (("kind", AdapterKind), ("side", AdapterSide)):
            if getattr(self, name) not in get_args(choices):
                expected = " or ".join(map(repr, get_args(choices)))
                msg = f"{name} is {expected}, not {getattr(self, name)!r}"
                raise ValueError(msg)
        if not self.base or not self.base_digest:
            msg = "An adapter's manifest names its base and the base's digest; one is empty"
            raise ValueError(msg)

    @property
    def digest(self) -> str:
        """What tells this adapter on this base from any other; 32 hexadecimal digits.

        Without the files' sha256 (before it is in a store) it says nothing.
        """
        return digest_of("adapter", self.kind, self.side, self.base_digest, dict(self.files))

    def to_json(self) -> dict[str, Any]:
        """As `from_json` takes it."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The manifest of a JSON object.

        Raises:
            ValueError: It is of a newer format, or a part is missing or of another type.
        """
        if values.get("format") != FORMAT:
            msg = f"It has format {values.get('format')!r}, this version reads {FORMAT}"
            raise ValueError(msg)
        given = {name: value for name, value in values.items() if name != "format"}
        if unknown := given.keys() - {part.name for part in fields(cls)}:
            msg = f"It has parts that are not known: {', '.join(sorted(unknown))}"
            raise ValueError(msg)
        _check_types(given)
        try:
            probe = tuple(_probe(one) for one in given.pop("probe", ()))
            return cls(**given, probe=probe)
        except TypeError as error:
            msg = f"A part is missing: {error}"
            raise ValueError(msg) from error


def library_versions() -> dict[str, str]:
    """The versions of the libraries that make and serve adapters, where they are installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _check_types(values: Mapping[str, Any]) -> None:
    expected = {
        **dict.fromkeys(_TEXTS, str),
        **dict.fromkeys(_OPTIONAL_TEXTS, str | None),
        **dict.fromkeys(_OBJECTS, dict),
        "probe": list | tuple,
    }
    for name, value in values.items():
        if not isinstance(value, expected[name]):
            msg = f"{name!r} is {value!r:.80}, expected {expected[name]}"
            raise ValueError(msg)  # noqa: TRY004 (a file's content, not an argument)
    for name in ("files", "versions"):
        if not all(isinstance(value, str) for value in values.get(name, {}).values()):
            msg = f"{name!r} has texts only"
            raise ValueError(msg)


def _probe(values: Any) -> Probe:
    match values:
        case {"prompt": str(prompt), "token_ids": [*ids], "logprobs": [*logprobs]} if all(
            isinstance(one, int) for one in ids
        ) and all(isinstance(one, int | float) for one in logprobs):
            return Probe(prompt=prompt, token_ids=tuple(ids), logprobs=tuple(map(float, logprobs)))
        case _:
            msg = f"A probe is {values!r:.80}, expected prompt, token_ids and logprobs"
            raise ValueError(msg)
