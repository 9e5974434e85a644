"""The commands on a database of their own are for all tests here."""

from .test_commands import shell as shell
