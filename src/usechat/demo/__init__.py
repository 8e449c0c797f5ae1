"""The demo model: a tour of all parts that an answer can have. Needs no key, no account and no network.

`script` chooses the blocks of an answer, `events` turns them into the events of a Messages API stream, and `model`
plays the events. The script calls the tools in `tools`, one of which draws `picture`. Knows models and tools, but no
server.
"""
