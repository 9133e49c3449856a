"""The studies' theory, which needs nothing of the suite: equations, their integration and nets in plain numpy."""
