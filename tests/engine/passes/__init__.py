"""Several passes through taps in one step."""
