"""How the components are chained, and how a chain is compiled and run."""
