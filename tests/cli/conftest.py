"""The commands on a database of their own are for all tests here."""

from .shell import shell as shell
