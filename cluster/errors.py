"""Why a command could not do its work at all; what only one check lacks is an `Unread`."""


class ClusterError(Exception):
    """`exit_code` is what the command ends with."""

    exit_code = 1


class UnreachableError(ClusterError):
    """The API server does not answer."""

    exit_code = 69


class UsageError(ClusterError):
    """The command line or the kubeconfig names nothing to talk to."""

    exit_code = 64


class RefusedError(ClusterError):
    """The API server answered, and the answer is no. `message` is its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server answered {status}: {message}")
        self.status = status
        self.message = message
