"""What this package raises."""


class CertificateError(ValueError):
    """A certificate, key or bundle that can't be read or used. The message never holds key material."""
