# SPDX-License-Identifier: Apache-2.0
"""An index that the target refuses: all others are built first, and what it held back of them is given back."""

from __future__ import annotations

from pymongo import IndexModel

EXPIRY_S = 2_000_000


def test_named_in_the_end(set_to_sharded):
    """Unique indexes must begin with the shard key; the target has its own here."""
    pair = set_to_sharded
    for name in ("first", "second"):
        pair.target.shard_collection(f"db.{name}", {"k": 1})
        pair.source_client.db[name].insert_many([{"_id": n, "k": n, "email": f"{n}@example.com"} for n in range(300)])
        pair.source_client.db[name].create_indexes([
            IndexModel("email", name="email", unique=True),
            IndexModel("when", name="when", expireAfterSeconds=EXPIRY_S),
            IndexModel("n", name="n"),
        ])
    pair.source_client.db.third.insert_many([{"_id": n, "email": n} for n in range(300)])
    pair.source_client.db.third.create_index("email", name="email", unique=True)
    twin = pair.twin().start()
    said = twin.wait_failure()
    assert "2 indexes can't be built" in said and "email of db.first" in said and "email of db.second" in said
    indexes = pair.target_client.db.third.index_information()
    assert indexes["email"]["unique"], "the others are built"
    assert {"when", "n"} <= pair.target_client.db.first.index_information().keys()
    for name in ("first", "second"):
        pair.source_client.db[name].drop_index("email")
    twin.kill()
    twin.start()
    twin.wait_for_state("replicating")
    twin.finish()
    pair.assert_identical()
    assert pair.target_client.db.first.index_information()["when"]["expireAfterSeconds"] == EXPIRY_S


def test_refused_in_the_copy_beside_one_that_expires(set_to_sharded):
    """The command that builds them all is refused for one of them; the expiry that is held back must stay what it was."""
    pair = set_to_sharded
    pair.source_client.db.c.insert_many([{"_id": n, "a": n} for n in range(100)])
    pair.source_client.db.c.create_indexes([IndexModel("when", name="when", expireAfterSeconds=EXPIRY_S), IndexModel("a", name="a")])
    # An index of that name with other fields: the target's own.
    pair.target.shard_collection("db.c", {"k": 1})
    pair.target_client.db.c.create_index("b", name="a")
    twin = pair.twin().start()
    said = twin.wait_failure()
    assert "1 index can't be built: a of db.c" in said
    pair.target_client.db.c.drop_index("a")
    twin.kill()
    twin.start()
    twin.wait_for_state("replicating")
    twin.finish()
    pair.assert_identical()
    assert pair.target_client.db.c.index_information()["when"]["expireAfterSeconds"] == EXPIRY_S
