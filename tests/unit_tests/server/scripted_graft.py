"""`graft` over a knowledge base without weights and a model with a script: FOLDER ARGUMENT..."""

import os
import sys

from langchain_graft import KnowledgeBase, cli
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel


def load_model(*_):
    os.write(1, b"a C library prints\n")
    sys.stdout.write("and a Python one does\n")
    return ScriptedChatModel(reply=lambda _: "Apple was founded in April 1976.")


def main():
    folder, *arguments = sys.argv[1:]
    opened = KnowledgeBase.open(folder, embeddings=HashEmbeddings())
    for name in ("serve_command", "mcp_command"):
        command = __import__(f"langchain_graft.cli.{name}", fromlist=["run"])
        command.open_filled = lambda *_: opened
        command.load_model = load_model
    return cli.main([*arguments, "--kb", folder])


if __name__ == "__main__":
    sys.exit(main())
