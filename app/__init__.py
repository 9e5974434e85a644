"""Keeps an application's subscription records in step with Stripe and answers its feature-limit checks."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent
"""This folder; everything that the package ships is found from here."""
NAME = __name__
"""The import name: `app` in this repository, another where the folder was copied or installed."""
