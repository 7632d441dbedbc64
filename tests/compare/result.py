# SPDX-License-Identifier: Apache-2.0
"""What a compare found: counts, the first differences in words, the number of all of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

DIFFERENCES_SHOWN_MAX = 50


@dataclass(frozen=True)
class Difference:
    ns: str
    what: str
    key: str = ""  # the document's _id, or the index's name

    def __str__(self) -> str:
        return f"{self.ns}{' ' + self.key if self.key else ''}: {self.what}"


@dataclass
class Result:
    """Filled by several threads through `add`, `note` and `count`; read when all are done."""

    documents: int = 0
    collections: int = 0
    indexes: int = 0
    views: int = 0
    differences: list[Difference] = field(default_factory=list)  # the first DIFFERENCES_SHOWN_MAX
    differences_total: int = 0
    notes: list[str] = field(default_factory=list)  # worth knowing, no difference: shard keys above all
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def identical(self) -> bool:
        return self.differences_total == 0

    def add(self, ns: str, what: str, key: str = "", times: int = 1) -> None:
        with self._lock:
            self.differences_total += times
            if len(self.differences) < DIFFERENCES_SHOWN_MAX:
                self.differences.append(Difference(ns, what, key))

    def note(self, text: str) -> None:
        with self._lock:
            self.notes.append(text)

    def count(self, **numbers: int) -> None:
        with self._lock:
            for name, number in numbers.items():
                setattr(self, name, getattr(self, name) + number)

    def summary(self) -> str:
        extent = f"{self.documents} documents, {self.collections} collections, {self.indexes} indexes, {self.views} views"
        if self.identical:
            return f"IDENTICAL: {extent}"
        return f"DIFFERENT: {self.differences_total} differences in {extent}"

    def __str__(self) -> str:
        lines = [str(difference) for difference in self.differences]
        if self.differences_total > len(lines):
            lines.append(f"… and {self.differences_total - len(lines)} more")
        return "\n".join([*lines, self.summary()])
