"""What can go wrong at a registry.

::

    RegistryError
    ├── Unreachable            no answer: refused, name unknown, timeout, 502-504
    │   └── TlsFailure         an answer, but its certificate is not trusted
    ├── Unauthorized           401: credentials missing or wrong
    ├── Forbidden              403, or a token without the right that is needed
    ├── NotFound               404: repository, tag, manifest or blob
    ├── DeleteDisabled         405 as JSON: the registry was started without deletes
    ├── ReadOnly               405 as plain text: maintenance mode
    ├── Unsupported            the registry cannot do this (delete by tag on v2, say)
    ├── RateLimited            429, for longer than we wait
    ├── Corrupt                the bytes are not those of their digest, or do not come
    ├── ProtocolError          an answer that no registry should give
    │   └── StorageFull        it would do it, and its disk has no room left
    └── CredentialsUnreadable  docker's own configuration cannot be used

Sentences are fit to be shown to people: no secrets, and text from the registry only clipped.
"""


class RegistryError(Exception):
    """Anything below; `sentence` says what happened, `hint` what to do about it."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


class Unreachable(RegistryError):
    """The registry gave no usable answer within the deadline."""


class TlsFailure(Unreachable):
    """The registry's certificate is not trusted, or it speaks no TLS at all."""


class Unauthorized(RegistryError):
    """The registry wants credentials, or refuses those it got."""


class Forbidden(RegistryError):
    """The credentials are good, but not for this."""


class NotFound(RegistryError):
    """The repository, tag, manifest or blob is not there."""


class DeleteDisabled(RegistryError):
    """The registry was started without permission to delete, its default."""


class ReadOnly(RegistryError):
    """The registry is in read-only maintenance mode."""


class Unsupported(RegistryError):
    """The registry's version cannot do what was asked."""


class RateLimited(RegistryError):
    """Too many requests; `retry_after` in seconds, None where the registry did not say."""

    def __init__(self, sentence: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(sentence, hint)
        self.retry_after = retry_after


class Corrupt(RegistryError):
    """The content does not match its digest, or the registry cannot deliver it."""


class ProtocolError(RegistryError):
    """An answer outside the registry protocol; often something else answers at this URL."""


class StorageFull(ProtocolError):
    """The registry takes changes, but the disk below its storage has no room for this one."""


class CredentialsUnreadable(RegistryError):
    """Docker's configuration file holds no credentials that a program can read."""
