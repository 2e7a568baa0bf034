"""The imitated Fathom: meetings with transcripts and summaries behind page-number cursors."""
