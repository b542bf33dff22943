"""AutoGen 0.2.40's own agent and our settings, given the dicts of its notebooks as they are."""

import ast
import inspect
import json
import sys
import tempfile

import chromadb
import chromadb.utils.embedding_functions
from autogen.agentchat.contrib import retrieve_user_proxy_agent
from autogen.agentchat.contrib.retrieve_user_proxy_agent import RetrieveUserProxyAgent

from langchain_graft.agents import RetrieveConfig
from langchain_graft.agents.autogen_config import KEYS

FOLDER = tempfile.mkdtemp()
FLAML = "https://raw.githubusercontent.com/microsoft/FLAML/main/website/docs/"
CLIENT = chromadb.PersistentClient(path=FOLDER)


class Embedder(chromadb.EmbeddingFunction):
    """In place of the one whose weights AutoGen would download."""

    def __init__(self, model_name=""):
        self.model_name = model_name

    def __call__(self, input):  # noqa: A002 (Chroma's name)
        return [[float(len(text)), 1.0] for text in input]


def split(text):
    return text.split("\n")


EXAMPLES = {
    "notebook/agentchat_RetrieveChat.ipynb": {
        "task": "code",
        "docs_path": [f"{FLAML}Examples/Integrate%20-%20Spark.md", f"{FLAML}Research.md"],
        "chunk_token_size": 2000,
        "model": "gpt-35-turbo-16k",
        "vector_db": "chroma",
        "overwrite": False,
        "get_or_create": True,
    },
    "notebook/agentchat_RetrieveChat.ipynb, 0.2.3": {
        "task": "code",
        "docs_path": "~/code/FLAML/website/docs/reference",
        "chunk_token_size": 2000,
        "model": "gpt-4",
        "client": CLIENT,
        "embedding_model": "all-mpnet-base-v2",
        "get_or_create": False,
    },
    "notebook/agentchat_RetrieveChat.ipynb, example 6": {
        "task": "qa",
        "docs_path": "https://huggingface.co/datasets/thinkall/2WikiMultihopQA/resolve/main/corpus.txt",
        "chunk_token_size": 2000,
        "model": "gpt-35-turbo-16k",
        "client": CLIENT,
        "collection_name": "2wikimultihopqa",
        "chunk_mode": "one_line",
        "embedding_model": "all-MiniLM-L6-v2",
        "customized_prompt": "Context: {input_context} Question: {input_question}",
        "customized_answer_prefix": "the answer is",
    },
    "notebook/agentchat_groupchat_RAG.ipynb": {
        "task": "code",
        "docs_path": f"{FLAML}Examples/Integrate%20-%20Spark.md",
        "chunk_token_size": 1000,
        "model": "gpt-35-turbo",
        "client": CLIENT,
        "collection_name": "groupchat",
        "get_or_create": True,
    },
    "website/docs/topics/retrieval_augmentation.md": {
        "task": "code",
        "docs_path": [f"{FLAML}Research.md", "../website/docs"],
        "custom_text_types": ["mdx"],
        "chunk_token_size": 2000,
        "model": "gpt-4-1106-preview",
        "client": CLIENT,
        "embedding_model": "all-mpnet-base-v2",
        "custom_text_split_function": split,
        "embedding_function": Embedder(),
        "get_or_create": True,
        "db_config": {"path": FOLDER},
        "distance_threshold": -1,
        "update_context": False,
        "context_max_tokens": 1234,
    },
}


def taken(given):
    """What AutoGen's agent and our settings make of the same dict."""
    before = dict(given)
    ours = RetrieveConfig.from_autogen(given)
    unchanged = given == before
    theirs = RetrieveUserProxyAgent("proxy", human_input_mode="NEVER", retrieve_config=given)
    told = {
        "task": (ours.task, theirs._task),
        "context_tokens": (ours.context_tokens, int(theirs._context_max_tokens)),
        "prompt": (ours.prompt, theirs.customized_prompt),
        "answer_prefix": (ours.answer_prefix.upper(), theirs.customized_answer_prefix),
        "update_context": (ours.update_context, theirs.update_context),
        "chunk_token_size": (ours.ingestion["chunk_token_size"], theirs._chunk_token_size),
    }
    return {"unchanged": unchanged, "told": set(ours.told) == set(given), "same": told}


def keys_read():
    """The keys that AutoGen's agent reads, in its source."""
    tree = ast.parse(inspect.getsource(retrieve_user_proxy_agent))
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._retrieve_config.get"
    }


chromadb.utils.embedding_functions.SentenceTransformerEmbeddingFunction = Embedder
told = {name: taken(given) for name, given in EXAMPLES.items()}
read = sorted(keys_read())
sys.stdout.write("\n" + json.dumps({"examples": told, "read": read, "known": sorted(KEYS)}) + "\n")
