"""Training: the plan, the run folder, checkpoints, and the engines that train."""
