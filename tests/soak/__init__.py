# SPDX-License-Identifier: Apache-2.0
"""What takes longer than a test run may: the same checks as in the tests, with other seeds every time, for as long as asked."""
