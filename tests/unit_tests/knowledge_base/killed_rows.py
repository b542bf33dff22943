"""Questions that a chat model writes about passages, killed after some of them.

`python killed_rows.py KNOWLEDGE_BASE REPLIES` is killed by its own hand when the model has given so
many replies.
"""

import os
import signal
import sys

from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.knowledge_base.training_data import generate_rows
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel


def main(folder, replies):
    said = []

    def reply(prompt):
        if len(said) == int(replies):
            os.kill(os.getpid(), signal.SIGKILL)
        said.append(prompt)
        return prompt.split("Passage:\n")[1].split(" stands")[0] + "?"

    kb = KnowledgeBase.open(folder, embeddings=HashEmbeddings())
    generate_rows(kb, ScriptedChatModel(reply=reply))


if __name__ == "__main__":
    main(*sys.argv[1:])
