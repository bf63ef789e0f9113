"""The component source_analysis."""
