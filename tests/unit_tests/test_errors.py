"""The tree of errors is the one in the docstring."""

import inspect
import re

import pytest
from langchain_core.exceptions import ContextOverflowError

from langchain_graft import errors

LINE = re.compile(r"^( +)([A-Z]\w+Error)\s+(?:\(also (\w+)\))?", re.MULTILINE)
ALSO = {
    "ImportError": ImportError,
    "LookupError": LookupError,
    "ValueError": ValueError,
    "ContextOverflowError": ContextOverflowError,
}


def told():
    """Name to parent and other base, as the docstring tells them."""
    tree, path = {}, []
    for indent, name, also in LINE.findall(errors.__doc__):
        depth = (len(indent) - 4) // 2
        path = [*path[:depth], name]
        tree[name] = (path[depth - 1] if depth else "Exception", also)
    return tree


def defined():
    """The same, as it is."""
    tree = {}
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if kind.__module__ == errors.__name__:
            first, *more = kind.__bases__
            tree[name] = (first.__name__, "".join(other.__name__ for other in more))
    return tree


def test_the_docstring_tells_the_tree_as_it_is():
    assert told() == defined()
    assert len(told()) > 10


@pytest.mark.parametrize("name", defined())
def test_every_error_is_documented_and_one_of_ours(name):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.GraftError)
    assert inspect.getdoc(kind)


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (
            errors.MissingExtraError("words"),
            ["'words'", "pip install 'langchain-graft[words]'"],
        ),
        (
            errors.UnknownModelError("bge", available=["minilm", "e5"]),
            ["'bge'", "e5, minilm", "gguf:"],
        ),
        (
            errors.DownloadError("No source gave it", causes=["hub: 404", "registry: away"]),
            ["No source", "hub: 404", "registry: away"],
        ),
        (
            errors.ChecksumError("a.gguf", expected="12", found="34"),
            ["'a.gguf'", "12", "34", "graft models pull"],
        ),
        (
            errors.ContextTooLongError(tokens=5000, limit=4096),
            ["5000", "4096", "context_tokens"],
        ),
        (errors.DigestMismatchError("kb", expected="x", found="y"), ["'kb'", "x", "y"]),
        (errors.DigestMismatchError("kb", expected="x", found=None), ["adopt=True"]),
        (errors.NotAKnowledgeBaseError("kb"), ["'kb'", "graft ingest"]),
        (errors.KnowledgeBaseLockedError("kb", holder="pid 7"), ["'kb'", "pid 7", "Wait"]),
        (
            errors.FormatVersionError("kb", found=9, supported=1, written_by="2.0"),
            ["format 9", "up to 1", "pip install 'langchain-graft>=2.0'"],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_says_what_happened_and_what_to_do(error, parts):
    assert all(part in str(error) for part in parts)
