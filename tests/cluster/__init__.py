# SPDX-License-Identifier: Apache-2.0
"""A real MongoDB to test against: replica sets and sharded clusters on loopback.

Guarantees: everything listens on 127.0.0.1 only; every process started here ends with
`stop()`, on leaving the context manager, and also when the Python process that started
it dies in any way (see process.py).
"""

from .auth import Auth
from .binaries import find_mongod, find_mongos
from .replica_set import Member, ReplicaSet
from .sharded import ShardedCluster

__all__ = ["Auth", "Member", "ReplicaSet", "ShardedCluster", "find_mongod", "find_mongos"]
