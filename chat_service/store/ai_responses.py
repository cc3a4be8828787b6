"""What models answered, in Postgres; `ai_interactions.py` writes and reads it with its runs."""

from shared import sql

queries = sql.load(__file__)
