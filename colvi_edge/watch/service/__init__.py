"""What the administrator calls: install, uninstall, status, retry."""
