"""A small business system that knows nothing of the service but its issuer's address: the proof of single sign-on."""
