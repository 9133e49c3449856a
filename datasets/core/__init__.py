"""What every dataset is made of: a manifest, a stand-in, a source, and errors with a remedy."""
