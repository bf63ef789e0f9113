"""The checkpoint fetch component."""
