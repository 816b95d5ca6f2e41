"""Pages of HTML about an evaluation and a comparison."""
