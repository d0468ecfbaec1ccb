"""A user's own videos, made into shards of captioned clips."""
