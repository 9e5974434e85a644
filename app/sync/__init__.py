"""Keeps records in step with Stripe without a webhook: fetch objects, catch up, reconcile, on a schedule."""
