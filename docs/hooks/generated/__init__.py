"""What the site has that nobody writes by hand: read from the code when the site is built."""
