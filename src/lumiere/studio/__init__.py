"""A page in the browser over the pipelines: jobs in a queue, their clips in a gallery.

Nothing here generates: a job is a call of one of the command line's verbs, as a line of a batch is.
"""
