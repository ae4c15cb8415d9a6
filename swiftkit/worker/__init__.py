"""What runs in processes of its own, because it imports torch: training and downloads."""
