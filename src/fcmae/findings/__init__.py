"""What is measured and shown: rows that are kept, figures of them, and one page for a browser."""
