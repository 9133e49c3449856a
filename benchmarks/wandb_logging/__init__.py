"""Weights & Biases: what runs and sweeps send there with ``logger=wandb``. Only such runs import wandb."""
