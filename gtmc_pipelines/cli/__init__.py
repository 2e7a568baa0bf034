"""The `gtmc` command: thin commands over the other rooms, one file a group. Nothing imports this room."""
