# SPDX-License-Identifier: Apache-2.0
"""A source that forgets: at once, where a server with a full oplog cuts it about once a minute only."""

from __future__ import annotations

from typing import Optional

from bson.timestamp import Timestamp
from cluster import ReplicaSet, find_mongod
from cluster.process import Process, free_port, wait_until
from pymongo import MongoClient


def forget_history(source: ReplicaSet, before: Optional[Timestamp] = None) -> int:
    """Deletes what is older from the oplog (or all but the newest entry), which a server allows while it is in no set;
    returns how many entries. For a set of one member, which is restarted."""
    member = source.members[0]
    source.stop()
    port = free_port()  # nobody shall take it for the member that it is
    command = [find_mongod(), "--dbpath", member.directory / "data", "--port", port, "--bind_ip", "127.0.0.1", "--nounixsocket"]
    alone = Process(command, member.directory / "alone.log")
    alone.start()
    try:
        with MongoClient("127.0.0.1", port, directConnection=True) as client:
            wait_until(lambda: client.admin.command("ping"), "the server answers alone", failed=alone.failure)
            oplog = client["local"]["oplog.rs"]
            newest = oplog.find().sort("$natural", -1).next()["ts"]
            deleted = oplog.delete_many({"ts": {"$lt": before or newest}}).deleted_count
    finally:
        alone.stop()
    source.start()
    return deleted
