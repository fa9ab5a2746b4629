"""Why plan or apply could not do what was asked. Each message says what was got, expected, and what to do."""


class ApplyError(Exception):
    """`exit_code` is what the command ends with: 1 refused, 64 usage, 69 no answer from the server, 130 interrupted."""

    exit_code = 1


class TreeError(ApplyError):
    """The generated tree is not what the generator writes."""


class TargetError(ApplyError):
    """`--target` names nothing. The command line is wrong, and nothing was done."""

    exit_code = 64


class TokenError(ApplyError):
    """There is no token, or what is given can't be one. The message never holds it."""


class RefusedError(ApplyError):
    """The server answered, and the answer is no."""


class ForbiddenError(RefusedError):
    """The token may not do it (403)."""


class InvalidError(RefusedError):
    """The server calls the request wrong (400)."""


class UnreachableError(ApplyError):
    """No answer, or one that says "not now": network, TLS, sealed, rate limit, 5xx."""

    exit_code = 69


class FaultError(UnreachableError):
    """The server failed on this one request (500), as HashiCorp Vault does on some values that it calls wrong elsewhere."""


class ConcurrentChangeError(ApplyError):
    """Somebody else wrote between our reading and our writing."""


class InterruptError(ApplyError):
    """Somebody asked to end (Ctrl-C)."""

    exit_code = 130


class OvertakenError(ConcurrentChangeError):
    """Another run of apply has begun for this cluster."""


class DroppedError(ApplyError):
    """What the server keeps is not what was written. `stands`: and it could not be taken back."""

    def __init__(self, message: str, *, stands: bool = False) -> None:
        super().__init__(message)
        self.stands = stands


class StoppedError(ApplyError):
    """A change failed; those before it are done. `exit_code` is the cause's."""

    def __init__(self, message: str, cause: ApplyError) -> None:
        super().__init__(message)
        self.exit_code = cause.exit_code
