"""Everything that is trained: the protocol of a task, and one package for each domain."""
