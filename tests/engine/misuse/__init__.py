"""Wrong arguments and wrong use: one clear error, and nothing half done."""
