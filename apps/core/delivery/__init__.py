"""The outbox and the relay that delivers its rows."""
