"""The command line: processes, deployment checks and operators' verbs."""
