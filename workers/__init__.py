"""The worker process: arq functions and polls that drain the queue of record."""
