"""Exports: folders to serve, made from checkpoints; and the proof that serving uses the tokens of training."""
