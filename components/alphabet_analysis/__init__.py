"""The alphabet analysis component."""
