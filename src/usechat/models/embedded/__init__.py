"""The embedded model: a process of its own on this machine, with no key and no network."""
