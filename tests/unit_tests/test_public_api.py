"""What the package promises to give, and what it costs to import."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import langchain_graft

PACKAGES = [
    "langchain_graft",
    *(
        f"langchain_graft.{name}"
        for name in (
            "agents",
            "chains",
            "cli",
            "evaluation",
            "finetune_bridge",
            "graph",
            "knowledge_base",
            "models",
            "retrievers",
            "server",
        )
    ),
]
LAZY = [package for package in PACKAGES if package != "langchain_graft.cli"]
NAMES = [(package, name) for package in PACKAGES for name in import_module(package).__all__]


def python(code, *options):
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_no_package_is_forgotten_here():
    root = Path(langchain_graft.__file__).parent
    found = {f"langchain_graft.{path.parent.name}" for path in root.glob("*/__init__.py")}
    assert {"langchain_graft", *found} == set(PACKAGES)


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_public_name_is_there_and_says_what_it_is(package, name):
    module = import_module(package)
    value = getattr(module, name)
    assert name in dir(module)
    assert (inspect.getdoc(value) or "").strip()


@pytest.mark.parametrize("package", LAZY)
def test_names_are_the_same_for_python_editors_and_mypy(package):
    module = import_module(package)
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    [checked] = [
        node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node)
    ]
    seen = {alias.name for node in checked.body for alias in node.names}
    assert seen == set(module.__all__) == set(dir(module))
    assert module.__all__ == sorted(module.__all__, key=lambda name: (not name.isupper(), name))


@pytest.mark.parametrize("package", LAZY)
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nonsense'"):
        import_module(package).nonsense  # noqa: B018


def test_the_version_is_that_of_the_distribution():
    assert langchain_graft.__version__ == version("langchain-graft")


def test_importing_the_packages_loads_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules)\n"
        f"import {', '.join(LAZY)}\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(loaded - set(sys.stdlib_module_names) - {'langchain_graft'}))"
    )
    assert python(code).stdout == "[]\n"


def test_importing_the_package_takes_less_than_50_milliseconds():
    def seconds():
        told = python("import langchain_graft", "-X", "importtime").stderr
        [line] = [line for line in told.splitlines() if line.endswith("| langchain_graft")]
        return int(line.split("|")[1]) / 1e6

    assert min(seconds() for _ in range(5)) < 0.05


@pytest.mark.parametrize("name", ["ScriptedChatModel", "HashEmbeddings"])
def test_the_fakes_are_shipped(name):
    assert inspect.getdoc(getattr(import_module("langchain_graft.testing"), name))
