"""What happens after the commit: domain signals, the outbox, notifications."""
