"""Alignment: how a method's gradients lie to backprop's."""
