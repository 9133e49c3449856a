"""Many runs: what is planned, the processes that do it, and what is shown meanwhile."""
