"""What can't be reviewed."""


class ReviewError(Exception):
    """The message names the file, what was got and what was expected."""
