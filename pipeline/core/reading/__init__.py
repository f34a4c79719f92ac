"""Reading mathematics in plain text: values, equations, final answers, and comparison with typed answers."""
