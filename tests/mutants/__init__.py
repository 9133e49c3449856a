"""Wrong versions of the methods, each of which some test must catch."""
