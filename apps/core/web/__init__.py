"""What every page and every API call shares: who may open it, requests, errors, pagination, the dialog of an action."""
