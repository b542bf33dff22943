"""Which registry, which wheel, and what lies in it."""

import shutil
import zipfile

import pytest

from langchain_graft.errors import DownloadError
from langchain_graft.models import registry
from langchain_graft.models.registry import find_wheel, index_url, open_member

VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders for pip.conf, the first one's counts more; no variable is set."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    folders = [tmp_path / "venv", tmp_path / "user"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(registry, "_pip_folders", lambda: folders)
    return folders


class TestIndexUrl:
    def test_pypi_where_nothing_is_said(self, folders):
        assert index_url() == "https://pypi.org/simple/"

    def test_variables_before_files(self, folders, monkeypatch):
        (folders[0] / "pip.conf").write_text("[global]\nindex-url = https://file/simple\n")
        assert index_url() == "https://file/simple"
        for variable in reversed(VARIABLES):
            monkeypatch.setenv(variable, f"https://{variable}")
            assert index_url() == f"https://{variable}"

    def test_an_empty_variable_says_nothing(self, folders, monkeypatch):
        monkeypatch.setenv("PIP_INDEX_URL", "")
        assert index_url() == "https://pypi.org/simple/"

    def test_the_nearer_file_counts(self, folders):
        (folders[1] / "pip.conf").write_text("[global]\nindex-url = https://user/100%/simple\n")
        assert index_url() == "https://user/100%/simple"
        (folders[0] / "pip.ini").write_text("[global]\nindex-url = https://venv/simple\n")
        assert index_url() == "https://venv/simple"

    @pytest.mark.parametrize(
        "broken", [b"index-url = x\n", b"\xff\xfe[", b"[install]\nuser = no\n"]
    )
    def test_a_file_that_says_nothing_is_passed_over(self, folders, broken):
        (folders[0] / "pip.conf").write_bytes(broken)
        (folders[1] / "pip.conf").write_text("[global]\nindex-url = https://user/simple\n")
        assert index_url() == "https://user/simple"


class TestFindWheel:
    @pytest.fixture(autouse=True)
    def published(self, sources):
        sources.put_wheel("part-one", "1.0", {"a": b"1"})
        sources.put_wheel("part-one", "2.0", {"a": b"2"})
        links = '<a href="/part_one-2.0.tar.gz">part_one-2.0.tar.gz</a>'
        sources.files["/simple/part-one/"] += links.encode()

    def test_the_wheel_of_that_version(self, server):
        address = f"{server.url}/wheels/part_one-1.0-py3-none-any.whl"
        assert find_wheel("part-one", "1.0") == address

    @pytest.mark.parametrize(("project", "version"), [("part-one", "3.0"), ("part-two", "1.0")])
    def test_there_is_no_such_wheel(self, server, project, version):
        with pytest.raises(DownloadError, match=project) as refused:
            find_wheel(project, version)
        assert server.url in str(refused.value)

    @pytest.mark.parametrize(
        ("kind", "page"),
        [
            ("text/plain", b"who are you?"),
            ("text/html", b"<html>please log in</html>"),
            ("application/vnd.pypi.simple.v1+json", b"{"),
            ("application/vnd.pypi.simple.v1+json", b'{"meta": {"api-version": "9.0"}}'),
        ],
    )
    def test_the_registry_says_something_else(self, server, kind, page):
        server.files["/simple/part-one/"], server.kinds["/simple/part-one/"] = page, kind
        with pytest.raises(DownloadError, match="part-one"):
            find_wheel("part-one", "1.0")

    def test_the_registry_is_in_trouble(self, server):
        server.faults["/simple/part-one/"] = [500] * 9
        with pytest.raises(DownloadError, match="part-one"):
            find_wheel("part-one", "1.0")

    def test_nobody_answers(self, nobody, monkeypatch):
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{nobody}/simple/")
        with pytest.raises(DownloadError, match="part-one"):
            find_wheel("part-one", "1.0")

    def test_no_address_at_all(self, monkeypatch):
        monkeypatch.setenv("UV_DEFAULT_INDEX", "nowhere")
        with pytest.raises(DownloadError, match="nowhere"):
            find_wheel("part-one", "1.0")

    def test_a_password_is_used_and_not_told(self, server, monkeypatch):
        server.password = "Basic dTpzZWNyZXQ="  # noqa: S105
        monkeypatch.setenv("UV_DEFAULT_INDEX", server.url.replace("//", "//u:secret@") + "/simple/")
        assert "part_one-1.0" in find_wheel("part-one", "1.0")
        with pytest.raises(DownloadError) as refused:
            find_wheel("part-two", "1.0")
        assert "secret" not in str(refused.value)


class TestOpenMember:
    @pytest.fixture
    def wheel(self, tmp_path):
        wheel = tmp_path / "part.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data/part.bin", b"some words and some more words " * 1000)
        return wheel

    def read(self, wheel, member="data/part.bin"):
        with open_member(wheel, member) as file, (wheel.parent / "out").open("wb") as out:
            shutil.copyfileobj(file, out)
        return (wheel.parent / "out").read_bytes()

    def test_it_is_read(self, wheel):
        assert self.read(wheel).startswith(b"some words")

    def test_it_lacks_the_file(self, wheel):
        with pytest.raises(DownloadError, match="missing"):
            self.read(wheel, "missing")
        assert not wheel.exists()

    @pytest.mark.parametrize("cut", [0, 10, 100])
    def test_it_is_no_wheel(self, wheel, cut):
        wheel.write_bytes(wheel.read_bytes()[:cut])
        with pytest.raises(DownloadError, match=r"part\.whl"):
            self.read(wheel)
        assert not wheel.exists()

    @pytest.mark.parametrize("place", range(45, 130, 5))
    def test_its_content_is_damaged(self, wheel, place):
        damaged = bytearray(wheel.read_bytes())
        damaged[place] ^= 0xFF
        wheel.write_bytes(damaged)
        with pytest.raises(DownloadError, match=r"part\.whl"):
            self.read(wheel)
        assert not wheel.exists()
