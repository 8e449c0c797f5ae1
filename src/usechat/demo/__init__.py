"""The demo: a tour of everything that an answer can be made of, with no key, no account and no network.

`script` chooses what is said, `events` cuts it into the events of a Messages API stream, `model` plays them; `tools`
and `picture` are what the script calls. The package knows models and tools, and no server.
"""
