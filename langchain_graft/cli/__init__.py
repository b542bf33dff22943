"""The `graft` command."""

from langchain_graft.cli.main import main

__all__ = ["main"]
