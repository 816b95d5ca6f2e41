"""Commands on models of others, in a child process that can change one folder and nothing else."""
