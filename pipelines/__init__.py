"""How the components form pipelines, and how these are compiled and run."""
