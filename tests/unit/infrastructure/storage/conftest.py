"""The image's programs are found as in the pod: by their own names, not as part of the installers."""

import sys
from pathlib import Path

INFRASTRUCTURE = Path(__file__).parents[4] / "installers/infrastructure"
sys.path[:0] = [str(INFRASTRUCTURE / "coredns/library"), str(INFRASTRUCTURE / "storage/image")]
