# SPDX-License-Identifier: Apache-2.0
"""The stand-in router: what a mongos does, as far as the tests need it (see README.md)."""
