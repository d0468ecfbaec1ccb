"""The one error that is the user's to mend."""


class InputError(ValueError):
    """What was given cannot be used.

    The message is one line: what was wrong, with its value, and what would be right. The command line
    prints it and exits with code 2.
    """
