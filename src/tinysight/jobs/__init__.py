"""One training as a whole: from a recipe and data to a finished run folder."""
