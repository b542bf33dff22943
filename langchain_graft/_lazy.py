"""Public names that are imported when first touched (PEP 562)."""

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_exports(
    package: str, exports: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Build the `__getattr__` and `__dir__` of a package from its table of names.

    Args:
        package: The package's `__name__`.
        exports: Public name to the submodule that defines it.

    Returns:
        The two functions, to be bound to `__getattr__` and `__dir__`.
    """

    def load(name: str) -> object:
        if name not in exports:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(f"{package}.{exports[name]}"), name)

    def names() -> list[str]:
        return sorted(exports, key=str.casefold)

    return load, names
