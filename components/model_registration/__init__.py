"""The component model_registration."""
