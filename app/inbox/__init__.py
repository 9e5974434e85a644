"""From signed bytes to a committed record.

Read in this order: webhook, spool, inbox, transaction, apply, handlers, unit_of_work.
"""
