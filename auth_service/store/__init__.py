"""What auth keeps in Postgres, a module and its `.sql` a table."""
