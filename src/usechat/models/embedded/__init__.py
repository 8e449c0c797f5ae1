"""The embedded model: a separate process on this machine, with no key and no network."""
