"""The forced_alignment component."""
