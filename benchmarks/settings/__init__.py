"""Settings of a run: their schema, the values they may have, and how they are composed."""
