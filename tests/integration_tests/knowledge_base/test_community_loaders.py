"""Loaders of langchain_community, as they are."""

import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it says of itself that it is being sunset
    loaders = pytest.importorskip("langchain_community.document_loaders")


def test_text_loader(kb, write, texts):
    path = write("a.txt", "他们在车库里做了第一台电脑。")
    report = kb.ingest_documents(loaders.TextLoader(path, encoding="utf-8"))
    assert report.added == 1
    assert texts() == {str(path): ["他们在车库里做了第一台电脑。"]}
    assert kb.ingest_documents(loaders.TextLoader(path, encoding="utf-8")).unchanged == 1


def test_csv_loader_keeps_rows_and_their_columns(kb, write):
    path = write("a.csv", "model,year\nLisa,1983\nMacintosh,1984\n")
    kb.ingest_documents(loaders.CSVLoader(path, metadata_columns=["year"], encoding="utf-8"))
    (found,) = kb.retriever("bm25", filter={"year": "1984"}).invoke("model")
    assert found.page_content == "model: Macintosh"
    assert found.metadata["row"] == 2


def test_directory_loader(kb, documents, write, texts):
    for name in ("a.txt", "sub/b.txt"):
        write(name, f"文件 {name}")
    loader = loaders.DirectoryLoader(
        str(documents),
        glob="**/*.txt",
        loader_cls=loaders.TextLoader,
        loader_kwargs={"encoding": "utf-8"},
    )
    kb.ingest_documents(loader, root="folder")
    assert set(texts()) == {str(documents / "a.txt"), str(documents / "sub/b.txt")}
    (documents / "a.txt").unlink()
    assert kb.ingest_documents(loader, root="folder").removed == 1


def test_a_loader_that_can_not_read_is_told_by_its_own_error(kb, documents, texts):
    with pytest.raises(RuntimeError, match="Error loading"):
        kb.ingest_documents(loaders.TextLoader(documents / "gone.txt"))
    assert texts() == {}
