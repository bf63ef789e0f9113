"""The refusal component."""
