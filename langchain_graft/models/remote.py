"""A provider's model through LangChain: bounded waits, and its failures in our words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from langchain_graft.errors import ModelError, UnknownModelError
from langchain_graft.models.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_SECONDS = 60.0
MAX_RETRIES = 2


@contextmanager
def provider_errors(spec: str) -> Iterator[None]:
    """What goes wrong while `spec` is loaded, as a `ModelError`; wrong settings stay what they are.

    Raises:
        UnknownModelError: LangChain knows no such provider.
        ModelError: The provider's package or key is missing.
    """
    try:
        yield
    except ValidationError:
        raise
    except ValueError as error:
        raise UnknownModelError(spec, available=CATALOGUE) from error
    except Exception as error:
        msg = f"{spec!r} can not be loaded: {error}"
        raise ModelError(msg) from error
