"""The routes, a module a subject. Each parses, calls, answers; plain `def`, so that waiting holds up nobody else."""
