"""Our own background work: retries, replay, pruning, alerts."""
