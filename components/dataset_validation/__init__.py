"""The dataset validation component."""
