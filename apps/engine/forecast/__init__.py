"""What the next window will be like, learned from many histories and how each of them continued."""
