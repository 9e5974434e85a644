"""The language of Stripe: events, objects, signatures, ordering, and the client. Knows none of our tables."""
