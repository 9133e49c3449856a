"""The hidden layer of a network, recorded beside a run and judged."""
