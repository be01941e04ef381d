"""What a server's metrics look like, and which families would read them: recognised, compared, proposed."""
