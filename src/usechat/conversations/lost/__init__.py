"""Answers whose process has died: ended as lost, or gone on with here."""
