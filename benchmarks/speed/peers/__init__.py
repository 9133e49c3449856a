"""Measures of our steps: other libraries' networks, and other ways to run DFA."""
