"""The training component."""
