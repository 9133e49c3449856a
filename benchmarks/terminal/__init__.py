"""The command line's two ends: what is typed is read, what goes wrong is said in one line."""
