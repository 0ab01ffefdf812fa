"""What every slice stands on: database, time, money, ids, errors, secrets, logs. Knows no slice."""
