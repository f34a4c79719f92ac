"""vLLM engines of our own. Loading this package imports neither vLLM nor torch; a teacher's ``start`` does."""
