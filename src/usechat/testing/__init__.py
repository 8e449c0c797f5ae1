"""For tests of backends: scripted models, a replayed provider, rules of the protocols, strategies for hypothesis."""
