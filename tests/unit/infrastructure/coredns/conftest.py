"""The image's programs are found as in the pod: by their own names, not as part of the installers."""

import sys
from pathlib import Path

COMPONENT = Path(__file__).parents[4] / "installers/infrastructure/coredns"
sys.path[:0] = [str(COMPONENT / "library"), str(COMPONENT / "image")]
