# SPDX-License-Identifier: Apache-2.0
"""Verifications of a running mongotwin: asked for, awaited, and what they name."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any, Callable, Optional

from cluster.process import wait_until

from .twin import Twin

Result = dict[str, Any]


def result(twin: Twin) -> Optional[Result]:
    """The verification under way, or the last one; None before the first."""
    try:
        with urllib.request.urlopen(f"http://{twin.api}/api/v1/verify", timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        assert error.code == 404, error.read()
        return None


def wait_verification(twin: Twin, reached: Callable[[Result], bool], what: str, timeout: float = 60) -> Result:
    last: list[Result] = [{}]

    def look() -> Optional[Result]:
        last[0] = result(twin) or {}
        return last[0] if last[0] and reached(last[0]) else None

    try:
        return wait_until(look, what, timeout, interval=0.03)
    except TimeoutError as error:
        raise TimeoutError(f"{error}\nlast: {json.dumps(last[0])[:3000]}\n{twin.log_tail()}") from None


def start(twin: Twin, **request: Any) -> int:
    """mode=…, repair=…, namespaces=[…]; its number."""
    twin.command("verify", request)
    return result(twin)["number"]


def wait_end(twin: Twin, number: int, timeout: float = 60) -> Result:
    return wait_verification(twin, lambda v: v["number"] == number and v["verdict"] != "running", f"verification {number} ends", timeout)


def verify(twin: Twin, timeout: float = 60, **request: Any) -> Result:
    return wait_end(twin, start(twin, **request), timeout)


def assert_identical(found: Result) -> None:
    assert found["verdict"] == "identical" and found["differences"] == 0, json.dumps(found, indent=1)


def named(found: Result) -> dict[str, str]:
    """What differs, by "namespace _id" or namespace."""
    out: dict[str, str] = {}
    for one in found["list"]:
        key = f"{one['ns']} {one['id']}".strip()
        out[key] = f"{out[key]}; {one['what']}" if key in out else one["what"]
    return out
