"""What the processes of the daemon say to each other, and how it travels."""
