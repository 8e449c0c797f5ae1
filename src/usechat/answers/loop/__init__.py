"""The loop: a turn without I/O, the driver that executes its asks, and their shared types."""
