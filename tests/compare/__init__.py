# SPDX-License-Identifier: Apache-2.0
"""Full compare of two MongoDB clusters: every document byte for byte, every option, index and view.

    python3 -m compare --source mongodb://… --target mongodb://…

or from Python: `compare.compare_clusters(source_client, target_client)` -> Result. It only reads. Nothing may write
meanwhile, or it reports what is merely under way.
"""

from .clusters import Selection, compare_clusters
from .result import Difference, Result

__all__ = ["Difference", "Result", "Selection", "compare_clusters"]
