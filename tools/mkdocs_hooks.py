"""What `mkdocs.yml` cannot say: every file of `docs/decisions/` is a page under Decisions."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

SECTION = "Decisions"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Called by mkdocs before it reads the navigation."""
    folder = Path(config.docs_dir) / "decisions"
    pages = [f"decisions/{path.name}" for path in sorted(folder.glob("*.md"))]
    for section in config.nav or []:
        if SECTION in section:
            section[SECTION] = pages
    return config
