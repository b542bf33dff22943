"""Which things belong together when some pairs do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class UnionFind:
    """Groups of things: joined ones, and what those are joined with, however far.

    The order of the joins makes no difference to the groups. A group goes by its smallest member.
    """

    def __init__(self, members: Iterable[str] = ()) -> None:
        self._parents = {member: member for member in members}
        self._groups = {member: [member] for member in self._parents}

    def find(self, member: str) -> str:
        """The name of a thing's group."""
        if member not in self._parents:
            self._parents[member], self._groups[member] = member, [member]
        root = member
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[member] != root:
            self._parents[member], member = root, self._parents[member]
        return root

    def join(self, one: str, other: str) -> bool:
        """Join two groups; False when they were one already."""
        first, second = sorted((self.find(one), self.find(other)))
        if first == second:
            return False
        self._parents[second] = first
        self._groups[first] += self._groups.pop(second)
        return True

    def group(self, member: str) -> list[str]:
        """All that belong together with a thing, itself among them."""
        return list(self._groups[self.find(member)])

    def groups(self) -> list[list[str]]:
        """All groups, each sorted, in the order of their names."""
        return [sorted(self._groups[root]) for root in sorted(self._groups)]
