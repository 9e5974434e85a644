"""What a user does at Stripe and sees of it: checkout, portal, subscription changes, customers, summary."""
