"""The next window of one service: its targets, how certain they are, and what they would have cost."""
