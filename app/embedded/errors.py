"""What can keep the local servers from starting, each said so that a person can act on it."""


class EmbeddedError(Exception):
    """Its text is a whole sentence for the person who started the command."""


class DataDirectoryTaken(EmbeddedError):
    """Another live process owns the data folder."""


class DataDirectoryUnusable(EmbeddedError):
    """The data folder cannot be made, written or understood."""


class BinaryMissing(EmbeddedError):
    """A server's program is absent, too old, or out of reach for the account that must run it."""


class PortTaken(EmbeddedError):
    """A port that was asked for by number is in use."""


class ServerDidNotStart(EmbeddedError):
    """A server ended, or did not answer in time, while it was being started."""
