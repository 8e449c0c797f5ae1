"""The loop: a turn without I/O, the driver that does what it asks for, and what they share."""
