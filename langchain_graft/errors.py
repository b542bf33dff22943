"""Every error that langchain_graft raises, in one tree.

    GraftError                        catch this to catch all of ours
      MissingExtraError               (also ImportError) an optional part is not installed
      ModelError                      a model can not be found, fetched or reached
        UnknownModelError             (also LookupError) no model of that name
        DownloadError                 no source gave the file
          ChecksumError               a file came, but not the one that was promised
        ModelServerError              the local model server does not start or answer
        ContextTooLongError           (also ContextOverflowError) the prompt does not fit
      DigestMismatchError             vectors of another embedder
      KnowledgeBaseError              a knowledge base can not be used
        NotAKnowledgeBaseError        (also LookupError) there is none in that folder
        KnowledgeBaseLockedError      another process is writing to it
        FormatVersionError            it was written by another version
      SourceError                     one document can not be read
      RetrievalError                  no retriever answered
      ReplyError                      a model's reply can not be used, nor repaired
      GraphError                      a graph can not be read or written
        GraphUnavailableError         its server is not there, or does not let us in
        CypherError                   a statement fails; `.cypher` is the statement
          CypherRefusedError          it does more than read, or more than is allowed
        LocalNeo4jError               the local Neo4j does not start
      AdapterError                    an adapter can not be used; `.adapter` names it
        AdapterNotFoundError          (also LookupError) the store has none of that name
        AdapterRefusedError           its files are not what may be loaded: nothing was
        AdapterMismatchError          it was made for another base model; `.expected`, `.found`
        AdapterInUseError             it answers requests, or an alias names it
      TrainingError                   training stopped; `.folder` has what it had reached
      TrainingDataError               (also ValueError) a row to learn from is not as promised
      ReleaseError                    a release can not be promoted, restored or read
        GateFailedError               it is not better where it should be, or worse elsewhere
      FleetError                      a server of the fleet does not do as it was told
      EvaluationDataError             (also ValueError) an evaluation file is not as promised

A wrong argument is a `ValueError` or `TypeError`, as everywhere in Python.
"""

from collections.abc import Iterable

from langchain_core.exceptions import ContextOverflowError


class GraftError(Exception):
    """Base of all errors of langchain_graft."""


class MissingExtraError(GraftError, ImportError):
    """A part was used whose optional libraries are not installed."""

    def __init__(self, extra: str) -> None:
        self.extra = extra
        command = f"pip install 'langchain-graft[{extra}]'"
        msg = f"This part needs the extra {extra!r}. Install it: {command}"
        super().__init__(msg)


class ModelError(GraftError):
    """A model can not be found, fetched or reached."""


class UnknownModelError(ModelError, LookupError):
    """No model of that name."""

    def __init__(self, spec: str, *, available: Iterable[str]) -> None:
        self.spec = spec
        self.available = sorted(available)
        msg = (
            f"No model named {spec!r}. Known here: {', '.join(self.available)}. "
            "A file is named 'gguf:/path/to/model.gguf', a service 'openai:gpt-4.1-mini'."
        )
        super().__init__(msg)


class DownloadError(ModelError):
    """No source gave the file; `causes` has one line per source that was tried."""

    def __init__(self, message: str, *, causes: Iterable[str] = ()) -> None:
        self.causes = list(causes)
        super().__init__("\n  - ".join([message, *self.causes]))


class ChecksumError(DownloadError):
    """A file is not the one that the catalogue promises."""

    def __init__(self, path: str, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        msg = (
            f"{path!r} has the sha256 {found}, expected {expected}. It was not used. "
            "Remove it and pull again: graft models pull NAME"
        )
        super().__init__(msg)


class ModelServerError(ModelError):
    """The local model server does not start, or died while it answered."""


class ContextTooLongError(ModelError, ContextOverflowError):
    """The prompt does not fit into the model's context; nothing was cut from it."""

    def __init__(self, *, tokens: int, limit: int) -> None:
        self.tokens = tokens
        self.limit = limit
        msg = (
            f"The prompt has {tokens} tokens, the model's context holds {limit}. Ask a shorter "
            "question, give fewer documents (k, context_tokens), or load the model with a larger "
            "context_tokens."
        )
        super().__init__(msg)


class DigestMismatchError(GraftError):
    """A collection holds vectors of another embedder than the one that asks."""

    def __init__(self, collection: str, *, expected: str, found: str | None) -> None:
        self.expected = expected
        self.found = found
        if found is None:
            reason = "does not say which embedder wrote it"
            remedy = (
                "If you know that it was this embedder, take the collection over with adopt=True."
            )
        else:
            reason = f"was written by the embedder {found}"
            remedy = "Open it with that embedder, or write a new collection with this one."
        msg = (
            f"Collection {collection!r} {reason}, asked was {expected}. Vectors of two embedders "
            f"can not be compared. {remedy}"
        )
        super().__init__(msg)


class KnowledgeBaseError(GraftError):
    """A knowledge base can not be used."""


class NotAKnowledgeBaseError(KnowledgeBaseError, LookupError):
    """There is no knowledge base in that folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        msg = f"No knowledge base in {folder!r}. Make one: graft ingest PATH --kb {folder!r}"
        super().__init__(msg)


class KnowledgeBaseLockedError(KnowledgeBaseError):
    """Another process is writing; `holder` says which."""

    def __init__(self, folder: str, *, holder: str) -> None:
        self.folder = folder
        self.holder = holder
        msg = (
            f"Knowledge base {folder!r} is being written by {holder}. Wait until it is done; "
            "reading goes on meanwhile."
        )
        super().__init__(msg)


class FormatVersionError(KnowledgeBaseError):
    """The knowledge base was written by a newer version of langchain-graft."""

    def __init__(self, folder: str, *, found: int, supported: int, written_by: str) -> None:
        self.found = found
        self.supported = supported
        msg = (
            f"Knowledge base {folder!r} has format {found}, this version reads up to {supported}. "
            f"Install langchain-graft {written_by} or newer: "
            f"pip install 'langchain-graft>={written_by}'"
        )
        super().__init__(msg)


class SourceError(GraftError):
    """One document can not be read; the message says why and what to do."""


class RetrievalError(GraftError):
    """None of several retrievers answered; `causes` says why, a line each."""

    def __init__(self, causes: Iterable[str]) -> None:
        self.causes = list(causes)
        lines = "\n  - ".join(["No retriever answered:", *self.causes])
        super().__init__(f"{lines}\nMend one of them, or raise timeout_seconds.")


class ReplyError(GraftError):
    """A model's reply can not be used, nor repaired; `reply` is what it said."""

    def __init__(self, message: str, *, reply: str) -> None:
        self.reply = reply
        super().__init__(message)


class GraphError(GraftError):
    """A graph can not be read or written."""


class GraphUnavailableError(GraphError):
    """The graph's server can not be reached, or does not let us in; the message says what to do."""


class CypherError(GraphError):
    """A Cypher statement fails; `cypher` is the statement, `reason` what is wrong with it."""

    def __init__(self, reason: str, *, cypher: str) -> None:
        self.reason = reason
        self.cypher = cypher
        super().__init__(f"{reason}\nThe statement: {cypher}")


class CypherRefusedError(CypherError):
    """A statement was not run: it does more than read, or calls what is not allowed."""


class LocalNeo4jError(GraphError):
    """The local Neo4j does not start, or has died; the message says why and what to do."""


class AdapterError(GraftError):
    """An adapter can not be used; `adapter` names it."""

    def __init__(self, message: str, *, adapter: str) -> None:
        self.adapter = adapter
        super().__init__(message)


class AdapterNotFoundError(AdapterError, LookupError):
    """The store has no such adapter, version or alias; `available` says what it has."""

    def __init__(self, adapter: str, *, available: Iterable[str]) -> None:
        self.available = sorted(available)
        there = ", ".join(self.available) or "none yet"
        msg = f"No adapter {adapter!r}. There are: {there}. See `graft adapters list`"
        super().__init__(msg, adapter=adapter)


class AdapterRefusedError(AdapterError):
    """Its files are not what may be loaded; nothing of them was."""


class AdapterMismatchError(AdapterError):
    """It was made for another base model, tokenizer or embedder than what would serve it."""

    def __init__(self, adapter: str, *, what: str, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        msg = (
            f"The adapter {adapter!r} was made for another {what}: {found}; here it is {expected}. "
            "Load the model that its manifest names (`graft adapters show`), or train it again"
        )
        super().__init__(msg, adapter=adapter)


class AdapterInUseError(AdapterError):
    """It answers requests now, or an alias or a release names it."""


class TrainingDataError(GraftError, ValueError):
    """A row to learn from is not as promised; the message names file and line."""


class TrainingError(GraftError):
    """Training can not begin, or stopped; checkpoints in `folder`, the run's, stay usable."""

    def __init__(self, message: str, *, folder: str | None = None) -> None:
        self.folder = folder
        super().__init__(message)


class ReleaseError(GraftError):
    """A release can not be promoted, restored or read."""


class GateFailedError(ReleaseError):
    """A candidate is not better where it should be, or worse elsewhere; nothing was changed."""


class FleetError(GraftError):
    """A server of the fleet does not do as it was told; what was begun has been undone."""


class EvaluationDataError(GraftError, ValueError):
    """An evaluation file is not as promised; the message names file and line."""
