"""Records of runs: their fields, metrics and histories, and the files that keep them."""
