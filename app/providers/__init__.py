"""Providers: one vocabulary, one classification, one file per wire dialect."""
