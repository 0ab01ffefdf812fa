"""Stored files: received, judged by their content, kept outside the database, served by link."""
