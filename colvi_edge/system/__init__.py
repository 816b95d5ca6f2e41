"""What is asked of Linux: mounts, whole files, bounded reading, rights given up."""
