"""The parts of every dataset: a manifest, a stand-in, a source, and errors that say how to fix them."""
