"""The pages of accounts: signing in, the user's account and keys, people, teams."""
