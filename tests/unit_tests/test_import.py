"""Packages are tables of names: they load the standard library only."""

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import langchain_graft

PACKAGES = [
    "langchain_graft",
    *(
        package.name
        for package in pkgutil.iter_modules(langchain_graft.__path__, "langchain_graft.")
        if package.ispkg
    ),
]
LOADED = """
import json, sys
before = set(sys.modules)
__import__(sys.argv[1])
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_loads_the_standard_library_only(package):
    told = subprocess.check_output([sys.executable, "-c", LOADED, package], text=True)
    assert set(json.loads(told)) <= {*sys.stdlib_module_names, "langchain_graft"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there(package):
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", []):
        assert getattr(module, name) is not None
        assert name in dir(module)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name
