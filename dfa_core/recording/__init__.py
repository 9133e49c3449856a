"""Recording: the marks' part of a forward pass, and the training step that is made of it."""
