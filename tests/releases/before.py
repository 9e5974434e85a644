"""The release before: its code, from the history, in an environment from its own lock."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "332c915"
"""Its newest migration is 0009; later releases may run beside it."""
UV = Path(sys.executable).with_name("uv")
INSTALL_SECONDS = 600


@dataclass(frozen=True)
class Release:
    """A folder with the code, and the Python of its environment."""

    root: Path
    python: Path

    def migrate(self, database_url: str) -> None:
        """Bring a database to this release's newest migration."""
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.root), "DATABASE_URL": database_url}
        command = [str(self.python), "-m", "app", "migrate"]
        subprocess.run(command, env=environment, cwd=self.root, check=True, capture_output=True, timeout=120)


THIS = Release(ROOT, Path(sys.executable))


class NoHistory(Exception):
    """The commit cannot be had here; the message says why."""


def release_before(folder: Path) -> Release:
    """Check the commit out into a folder, and install its lock.

    Raises:
        NoHistory: in a shallow clone, or where there is no repository.
    """
    root, environment = folder / "code", folder / "environment"
    _git("worktree", "prune")
    _git("worktree", "add", "--detach", "--force", str(root), COMMIT)
    python = environment / "bin" / "python"
    _run(str(UV), "venv", "--quiet", "--python", sys.executable, str(environment))
    lock = str(root / "requirements.lock")
    _run(str(UV), "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), lock)
    return Release(root, python)


def remove(release: Release) -> None:
    """Remove the check-out, and what git knows of it."""
    shutil.rmtree(release.root, ignore_errors=True)
    _git("worktree", "prune")


def _git(*arguments: str) -> None:
    try:
        _run("git", "-C", str(ROOT), *arguments)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise NoHistory(
            f"commit {COMMIT} is not in the history here ({said}): fetch the whole of it"
        ) from None


def _run(*command: str, **options: Any) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS, **options)
