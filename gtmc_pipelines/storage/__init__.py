"""The only room with SQL: tables, roles, migrations, and every read and write. May import model and vault."""
