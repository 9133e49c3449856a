"""One run: the training loop, its checkpoint, and the record that comes of it."""
