"""Our own background work: retries, pruning, alerts."""
