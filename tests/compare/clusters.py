# SPDX-License-Identifier: Apache-2.0
"""The compare of two whole clusters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Callable, Mapping, Optional, Sequence

from pymongo import MongoClient

from .catalog import BUCKETS, Collection, compare_indexes, compare_options, compare_sharding, logical_ns, read_catalog, read_indexes
from .documents import compare_documents
from .result import Result

_THREADS = 3


@dataclass(frozen=True)
class Selection:
    """Which namespaces are compared, by the source's names: whole databases, or patterns as in mongotwin's `namespaces`;
    and what they are called in the target, as in its `rename`."""

    databases: Optional[Sequence[str]] = None
    include: Optional[Sequence[str]] = None
    exclude: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)

    def wants(self, ns: str) -> bool:
        if self.databases is not None and ns.partition(".")[0] not in self.databases:
            return False
        if self.include is not None and not any(fnmatchcase(ns, pattern) for pattern in self.include):
            return False
        return not any(fnmatchcase(ns, pattern) for pattern in self.exclude)


    def target(self, ns: str) -> str:
        database, _, name = ns.partition(".")
        if name.startswith(BUCKETS):
            return self.target(logical_ns(ns)).replace(".", f".{BUCKETS}", 1)
        if ns in self.rename:
            return self.rename[ns]
        return f"{self.rename.get(f'{database}.*', f'{database}.*')[:-1]}{name}"

    def wants_in_target(self, ns: str) -> bool:
        if not self.rename:
            return self.wants(ns)
        name = ns.partition(".")[2]
        sources = {ns, *(old[:-1] + name if old.endswith(".*") else old for old in self.rename)}
        return any(self.target(one) == ns and self.wants(one) for one in sources)


def compare_clusters(
    source: MongoClient,
    target: MongoClient,
    *,
    selection: Selection = Selection(),
    sharding: bool = False,
    progress: Optional[Callable[[str], None]] = None,
) -> Result:
    """Compares everything that `selection` wants. With `sharding`, shard keys must agree too. `progress(ns)` is called,
    from several threads, when a namespace is done."""
    result = Result()
    ours = {selection.target(ns): found for ns, found in read_catalog(source, selection.wants).items()}
    theirs = read_catalog(target, selection.wants_in_target)
    for view in ours.values():
        if view.type == "view":
            view.rename_base(selection.target)
    _report_alone(result, ours, theirs)

    def compare(ns: str) -> None:
        _compare_namespace(result, source, target, ours[ns], theirs[ns], sharding)
        if progress is not None:
            progress(ns)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="compare") as pool:
        list(pool.map(compare, sorted(ours.keys() & theirs.keys())))
    result.differences.sort(key=lambda difference: difference.ns)
    result.notes.sort()
    return result


def _report_alone(result: Result, source: dict[str, Collection], target: dict[str, Collection]) -> None:
    for ns in sorted(source.keys() ^ target.keys()):
        found = source.get(ns) or target[ns]
        result.add(ns, f"{found.type} {'missing in the target' if ns in source else 'only in the target'}")


def _compare_namespace(
    result: Result, source: MongoClient, target: MongoClient, ours: Collection, theirs: Collection, sharding: bool
) -> None:
    compare_options(result, ours, theirs)
    if ours.type != theirs.type:
        return
    if ours.type == "view":
        result.count(views=1)
        return
    result.count(collections=0 if ours.is_buckets else 1)
    compare_sharding(result, ours, theirs, sharding)
    if not ours.has_documents:
        return
    read_indexes(source, ours)
    read_indexes(target, theirs)
    compare_indexes(result, ours, theirs, sharding)
    result.count(indexes=len(ours.indexes))
    compare_documents(result, source, target, ours, theirs)
