"""What our steps are measured against: other libraries' networks, and other ways to run DFA."""
