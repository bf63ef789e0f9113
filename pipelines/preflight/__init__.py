"""Check a cluster, its object store and the sources of a run before the run costs anything."""
