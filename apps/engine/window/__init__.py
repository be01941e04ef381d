"""The next window of one service: its targets, how sure they are, and what they would have cost."""
