"""What every dataset is made of: a manifest, a stand-in, a source, and errors that say how to fix them."""
