# SPDX-License-Identifier: Apache-2.0
"""Clusters with users; passwords that need quoting; and no password ever shown."""

from __future__ import annotations

from urllib.parse import quote_plus


def test_password_from_the_environment_is_used_and_never_shown(secured_sets, monkeypatch):
    passwords = [secured_sets.source.auth.password, secured_sets.target.auth.password]
    source = secured_sets.source.uri.replace(quote_plus(passwords[0]), "${TWIN_TEST_PASSWORD}")
    assert "TWIN_TEST_PASSWORD" in source
    monkeypatch.setenv("TWIN_TEST_PASSWORD", quote_plus(passwords[0]))
    secured_sets.load()
    writer = secured_sets.write()
    twin = secured_sets.twin(source=source).start()
    twin.wait_for_state("replicating")
    shown = str(twin.status()) + open(f"/proc/{twin.pid}/cmdline").read()
    secured_sets.finish_and_compare(twin, writer)
    shown += twin.log() + str(twin.status())
    for password in passwords:
        assert password not in shown and quote_plus(password) not in shown
