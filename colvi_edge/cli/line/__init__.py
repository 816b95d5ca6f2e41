"""The command line itself: options, variables, help, and what is wrong with a line."""
