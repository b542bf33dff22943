"""Files and folders that are not ours, and a disk without room."""

import ctypes
import subprocess
import sys

import pytest

AS_OWNER = """
import sys
from pathlib import Path
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings
kb = KnowledgeBase.open(Path(sys.argv[1]), embeddings=HashEmbeddings())
report = kb.ingest(sys.argv[2])
print(report.removed, sorted(report.failed.items()))
"""


def without_roots_privileges():
    """Permissions hold for root as well when it gives these two capabilities up (Linux)."""
    drop, dac_override, dac_read_search = 24, 1, 2
    for capability in (dac_override, dac_read_search):
        ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_files_and_folders_that_are_not_ours(kb, documents, write, texts):
    """What lies in a folder that can not be opened is not taken for removed."""
    write("a.md", "apple")
    write("sub/b.md", "banana")
    kb.ingest(documents)
    kb.close()
    write("locked.md", "x").chmod(0)
    (documents / "sub").chmod(0)
    told = subprocess.run(
        [sys.executable, "-c", AS_OWNER, str(kb.folder), str(documents)],
        preexec_fn=without_roots_privileges,
        capture_output=True,
        text=True,
        check=False,
    )
    (documents / "sub").chmod(0o755)
    assert told.stderr == ""
    assert told.stdout == (
        "0 [('locked.md', 'reading it is not permitted. Change its permissions, or run as its "
        "owner'), ('sub', 'the folder can not be opened: Permission denied')]\n"
    )
    assert texts() == {"a.md": ["apple"], "sub/b.md": ["banana"]}


AS_READER = """
import sys
from pathlib import Path
from langchain_graft.errors import KnowledgeBaseError
from langchain_graft.knowledge_base import KnowledgeBase, read_status
from langchain_graft.testing import HashEmbeddings
folder = Path(sys.argv[1])
print(read_status(folder).chunks)
kb = KnowledgeBase.open(folder, embeddings=HashEmbeddings())
print([document.page_content for document in kb.retriever("bm25").invoke("apple")])
for work in (lambda: kb.retriever("vector").invoke("apple"), lambda: kb.ingest(sys.argv[2])):
    try:
        work()
    except KnowledgeBaseError as error:
        print(error)
kb.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_a_read_only_knowledge_base_is_searched_by_words(kb, documents, write, texts):
    write("a.md", "apple")
    kb.ingest(documents)
    kb.close()
    everything = [kb.folder, *kb.folder.rglob("*")]
    for path in everything:
        path.chmod(path.stat().st_mode & ~0o222)
    told = subprocess.run(
        [sys.executable, "-c", AS_READER, str(kb.folder), str(documents)],
        preexec_fn=without_roots_privileges,
        capture_output=True,
        text=True,
        check=False,
    )
    for path in everything:
        path.chmod(path.stat().st_mode | 0o200)
    assert told.stderr == ""
    status, words, vector, ingest = told.stdout.splitlines()
    assert (status, words) == ("{'indexed': 1}", "['apple']")
    assert vector.startswith("Can not search by meaning in ")
    assert "Chroma has to write there" in vector
    assert ingest.startswith(f"Can not write to '{kb.folder}': [Errno 13] Permission denied")
    assert texts() == {"a.md": ["apple"]}


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_a_knowledge_base_of_another_user_is_not_called_damaged(kb, documents, write):
    write("a.md", "apple")
    kb.ingest(documents)
    kb.close()
    (kb.folder / "journal.sqlite").chmod(0)
    told = subprocess.run(
        [sys.executable, "-c", AS_OWNER, str(kb.folder), str(documents)],
        preexec_fn=without_roots_privileges,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Can not open" in told.stderr
    assert "nothing is lost" in told.stderr


SMALL_DISK = """
import resource, signal, sys
from pathlib import Path
from langchain_graft.errors import KnowledgeBaseError
from langchain_graft.knowledge_base import KnowledgeBase
from langchain_graft.testing import HashEmbeddings
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
kb = KnowledgeBase.open(Path(sys.argv[1]), embeddings=HashEmbeddings())
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    kb.ingest(sys.argv[2])
except KnowledgeBaseError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [60_000, 150_000, 300_000])
def test_a_full_disk_says_so_and_loses_nothing(kb, documents, write, texts, limit):
    """Files may not grow beyond a limit: the journal's, the words', the vectors'."""
    write("a.md", "apple")
    kb.ingest(documents)
    kb.close()
    for number in range(4):
        write(f"{number}.md", f"fruit{number} " * 20_000)
    told = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, str(kb.folder), str(documents), str(limit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "Can not write to" in told.stdout
    assert "Make room" in told.stdout
    assert texts() == {"a.md": ["apple"]}
    kb.close()
    kb.ingest(documents)
    assert set(texts()) == {"a.md", *(f"{n}.md" for n in range(4))}
