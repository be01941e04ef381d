"""What the next window will be like, learned from many histories and what came after them."""
