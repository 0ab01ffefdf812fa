"""The command line: processes, deployment checks, operators' verbs, the whole stack at once."""
