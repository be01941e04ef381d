"""What goes through Redis: questions to workers, the cache, rate limits. Nothing that is there is trusted or needed."""
