"""Prepare a user's videos as shards of captioned clips."""
