"""The layer surgery component."""
