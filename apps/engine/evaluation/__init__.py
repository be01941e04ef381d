"""How good the recommendations are: on simulated services whose truth is known, and on anybody's own history."""
