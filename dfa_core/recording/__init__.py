"""What marks hand over during forward passes, and the training step that is made of it."""
