"""Language modelling: a Transformer that learns to predict the next token."""
