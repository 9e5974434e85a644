"""What every HTTP route shares: problem+json, limits on bodies, limits of the HTTP protocol."""
