"""How good the recommendations are: on simulated services with a known truth, and on an operator's own history."""
