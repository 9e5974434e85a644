"""An application whose process kills itself at a point of its work, or whose clock jumps.

KILL_AT names the point, and KILL_AFTER says how often it is passed first. CLOCK names a file that holds the
seconds by which the clock is ahead.
"""

import os
import time
from pathlib import Path

from app.main import create_app

from .kill_points import kill_at


def clock() -> float:
    ahead = Path(os.environ["CLOCK"]).read_text() if "CLOCK" in os.environ else "0"
    return time.time() + float(ahead)


if "KILL_AT" in os.environ:
    kill_at(os.environ["KILL_AT"], int(os.environ["KILL_AFTER"]))

app = create_app(clock=clock)
