"""Files of conversations: how they are cut into documents, read, and written."""
