"""Many clips: each line of a file is a call of a verb of the command line."""
