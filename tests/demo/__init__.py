# SPDX-License-Identifier: Apache-2.0
"""The demo behind scripts/demo: two clusters, a shop, live writes, mongotwin, and a full compare at the end."""
