"""Records that ship with dsgen, each with its licence beside it."""
