"""Why a target is what it is: the share of each cause, what would change it, and the sentences about both."""
