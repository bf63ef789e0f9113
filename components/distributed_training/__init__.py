"""The component distributed_training."""
