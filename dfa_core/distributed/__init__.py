"""Models that are spread over processes."""
