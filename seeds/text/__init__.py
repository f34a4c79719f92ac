"""Text sources: records with a question and an answer, and what lifts them to programs."""
