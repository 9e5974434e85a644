"""How the commands must be typed here, so that they run from the shell's current folder as they stand."""

import os
import shutil
import sys
from pathlib import Path

from .. import COMMAND


def typed_command() -> str:
    """`python -m app`, or `.venv/bin/python -m app` where the shell would run another program.

    The path is relative where the virtual environment is inside the current folder.
    """
    program, _, arguments = COMMAND.partition(" ")
    ours = Path(sys.prefix) / "bin" / program
    found = shutil.which(program)
    if not ours.exists() or (found is not None and Path(found).absolute() == ours.absolute()):
        return COMMAND
    path = os.path.relpath(ours)
    return f"{ours if path.startswith('..') else path} {arguments}".rstrip()
