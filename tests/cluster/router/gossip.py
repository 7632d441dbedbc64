# SPDX-License-Identifier: Apache-2.0
"""The cluster's time: the largest `$clusterTime` seen goes to every shard and every client.

Without it, times of different shards could not be compared. Thread-safe. The document is
kept as bytes, signature included, so that signed times are passed on unchanged.
"""

import threading

from . import scan


class ClusterClock:
    """See the top of this file."""

    def __init__(self):
        self._lock = threading.Lock()
        self._time = 0
        self._element = b""
        self._of_thread = threading.local()

    @property
    def element(self):
        """`$clusterTime` as a raw element, empty as long as none was seen."""
        return self._element

    @property
    def time(self):
        """The largest time as an integer (seconds << 32 | increment)."""
        return self._time

    def observe(self, document):
        """Learn from a raw reply: `$clusterTime`, and `operationTime` for this thread."""
        for name, kind, start, value, end in scan.elements(document):
            if name == b"$clusterTime" and kind == scan.DOCUMENT:
                self.observe_element(document[start:end], document, value)
            elif name == b"operationTime" and kind == scan.TIMESTAMP:
                time = scan.timestamp_at(document, value)
                if time > getattr(self._of_thread, "operation", 0):
                    self._of_thread.operation = time

    def observe_element(self, element, document, value):
        found = scan.find(document, b"clusterTime", value)
        if found is None:
            return
        time = scan.timestamp_at(document, found[2])
        if time > self._time:
            with self._lock:
                if time > self._time:
                    self._time, self._element = time, bytes(element)

    def begin_operation(self):
        """A new operation of this thread begins: forget the last one's time."""
        self._of_thread.operation = 0

    def operation_time(self):
        """The largest operationTime that this thread's operation has seen."""
        return getattr(self._of_thread, "operation", 0) or self._time
