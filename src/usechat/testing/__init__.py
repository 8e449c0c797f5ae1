"""Tools for tests of backends: models, a replayed provider, protocol rules, a suite for stores, and strategies."""
