"""What the outside hears of the daemon: the journal, systemd, Prometheus."""
