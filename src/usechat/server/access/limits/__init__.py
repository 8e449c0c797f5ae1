"""Limits: what a user, an address and the whole server may use, and what of it is used now."""
