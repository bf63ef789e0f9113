"""The model export component."""
