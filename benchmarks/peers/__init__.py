"""Servers to compare with. Each is a program as its users would write it; none is imported by the runner."""
