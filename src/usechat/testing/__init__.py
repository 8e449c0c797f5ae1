"""Tools for tests of backends: scripted models, a replayed provider, protocol rules, and hypothesis strategies."""
