# SPDX-License-Identifier: Apache-2.0
"""End-to-end tests: mongotwin between real clusters, one folder for each thing that happens, each ending in a full compare."""
