"""The machinery: records, teachers, the engine, the dataset and the command line."""
