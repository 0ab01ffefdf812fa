"""Refusals of files: too large or slow, of a kind that is not taken, lying of itself, no room."""

from __future__ import annotations

from typing import Final

from app.core.errors import AppError, FieldProblem

FIELD: Final = "file"
"""The one field of an upload, and what its refusals point to."""


class UploadExpected(AppError):
    status = 415
    code = "upload-expected"
    title = "The request body must be multipart/form-data with one file"


class UploadMalformed(AppError):
    status = 400
    code = "upload-malformed"
    title = "The request body is not well-formed multipart/form-data"


class UploadTooSlow(AppError):
    status = 408
    code = "upload-too-slow"
    title = "The request body came too slowly"


class UploadFieldRefused(AppError):
    status = 422
    code = "upload-field-refused"
    title = f"An upload has exactly one field, a file named `{FIELD}`"


class FileTooLarge(AppError):
    status = 413
    code = "file-too-large"
    title = "The file is too large"


class _OfTheFile(AppError):
    """A refusal for which the file itself is to blame."""

    status = 422

    def __init__(self, rule: str) -> None:
        super().__init__(f"The file {rule}", errors=(FieldProblem(f"/{FIELD}", rule),))


class FileNameRefused(_OfTheFile):
    code = "file-name-refused"
    title = "The name of the file is not one that can be kept"


class FileTypeRefused(_OfTheFile):
    code = "file-type-refused"
    title = "A file must be PNG, JPEG, WebP, PDF or plain text, and whole"


class FileTypeMismatch(_OfTheFile):
    code = "file-type-mismatch"
    title = "The file is not what it says it is"


class StorageQuotaReached(AppError):
    status = 409
    code = "storage-quota-reached"
    title = "This account has no room left for files"


class TooManyFiles(AppError):
    status = 409
    code = "too-many-files"
    title = "No more files can be added here"


class FileLinkInvalid(AppError):
    status = 403
    code = "file-link-invalid"
    title = "This link is not one that we made; ask for the file again to get a new one"


class FileLinkExpired(AppError):
    status = 403
    code = "file-link-expired"
    title = "This link has expired; ask for the file again to get a new one"
