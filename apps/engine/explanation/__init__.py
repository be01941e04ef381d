"""Why a target is what it is: shares of each cause, what would change it, and the sentences that say so."""
