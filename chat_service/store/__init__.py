"""What chat keeps in Postgres, a module and its `.sql` a table. Every query names the user whose rows it may see."""
