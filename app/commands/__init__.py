"""The commands of `python -m app`, each group in a module of its own; `cli` puts them together."""
