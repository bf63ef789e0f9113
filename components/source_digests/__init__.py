"""The source digests component."""
