"""The component run_settings."""
