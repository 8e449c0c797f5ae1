"""How much work the built chat page makes for a browser: ``python -m benchmarks --page``."""
