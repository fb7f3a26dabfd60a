"""What PyTorch itself says: the side of every comparison that Lucarne must equal. Names nothing of the server."""
