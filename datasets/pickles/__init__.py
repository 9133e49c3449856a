"""Reading pickles of arrays, sparse matrices and adjacency lists without running anything they name."""
