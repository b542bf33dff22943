"""Builds a graph with a slow scripted model: `python killed_graph.py FOLDER CALLS`.

Every call of the model writes a line into CALLS, so that the test can see what was asked twice.
"""

import re
import sys
import time
from pathlib import Path

from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel

FACT = re.compile(r"(Jobs\d+) founded (Apple\d+)\.")


def main(folder, calls):
    def reply(prompt):
        [(person, company)] = FACT.findall(prompt)
        time.sleep(0.03)
        with calls.open("a", encoding="utf-8") as file:
            file.write(f"{person}\n")
        return f"{person} | Person | FOUNDED | {company} | Company"

    kb = KnowledgeBase.open(folder, embeddings=HashEmbeddings())
    kb.build_graph(ScriptedChatModel(reply=reply))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
