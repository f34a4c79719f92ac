"""Teachers: whatever turns a problem into worked solutions, behind one asynchronous protocol."""
