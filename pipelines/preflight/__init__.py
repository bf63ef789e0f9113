"""Look at a cluster, its object store and the sources of a run, before a run costs anything."""
