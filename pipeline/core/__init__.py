"""What everything hangs on: problems, exact values, derivations, answers, keys. Imports nothing else of dsgen."""
