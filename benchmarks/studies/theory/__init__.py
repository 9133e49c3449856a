"""What the studies of theory compute without the suite: equations, their integration and nets in plain numpy."""
